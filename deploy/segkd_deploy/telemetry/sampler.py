"""Sampling the machine beside a measurement, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from segkd.errors import SegkdError
from segkd_deploy.telemetry.power_source import PowerSource
from segkd_deploy.telemetry.sample import Header, Sample
from segkd_deploy.telemetry.telemetry import Telemetry, make_telemetry

MAX_HZ = 50.0
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.01
# Holds the last line whole, and more than one: a line has some hundred bytes.
TAIL_BYTES = 65536


class Sampler:
    """A context manager that samples while it is open.

    The samples go to an unnamed file, so that the measured process does nothing for them while it is measured and
    nothing is left behind whichever of the two dies.

    Args:
        root: where the system's files are.
        hz: samples per second; the sensors of a Jetson have a new value 10 to 20 times per second.
        gpu: number of the discrete GPU to ask, on machines with NVML.

    Raises:
        SegkdError: for a rate out of range, or if the process does not start.
    """

    def __init__(self, root: Path = Path("/"), hz: float = 20.0, *, gpu: int = 0) -> None:
        if not 0 < hz <= MAX_HZ:
            raise SegkdError(f"sampling rate: expected above 0 and at most {MAX_HZ:g} per second, got {hz:g}")
        self._command = [sys.executable, "-m", "segkd_deploy.telemetry.sampling_process"]
        self._command += ["--root", str(root.absolute()), "--hz", str(hz), "--gpu", str(gpu)]
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._errors: IO[bytes] | None = None

    def __enter__(self) -> Sampler:
        self._output, self._errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._errors,
            # Ctrl-C goes to a whole session; the process must live until the parent has read its last sample.
            start_new_session=True,
        )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while len(self._lines()) < 2:
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self._stop()
                raise SegkdError(f"the telemetry process did not start: {self._last_error()}")
            time.sleep(POLL_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def source(self) -> PowerSource:
        """What the power covers, or why there is none."""
        header = Header.from_line(self._lines()[0])
        return PowerSource(header.rails, header.counters, header.scope, header.reason)

    def idle_w(self, seconds: float = 5.0) -> float | None:
        """Wait, and return the mean power meanwhile; call it before the work begins.

        Returns:
            Watts; None if there is no power.
        """
        start_ns = time.monotonic_ns()
        time.sleep(seconds)
        end_ns = time.monotonic_ns()
        return self.telemetry(start_ns, end_ns).mean_w(start_ns, end_ns)

    def telemetry(self, start_ns: int | None = None, end_ns: int | None = None) -> Telemetry:
        """What was sampled, within a window and one sample on either side of it; may be called while it runs.

        Args:
            start_ns: begin of the window by ``time.monotonic_ns()``; None for the first sample.
            end_ns: its end; None for the last sample.

        Raises:
            SegkdError: if the process ended by itself, which would leave a hole.
        """
        if self._process is None or self._output is None:
            raise SegkdError("the sampler was not entered")
        if self._process.poll() not in (None, 0):
            raise SegkdError(f"the telemetry process ended early: {self._last_error()}")
        self._wait_for(end_ns)
        lines = self._lines()
        samples = [Sample.from_line(line) for line in lines[1:]]
        return make_telemetry(Header.from_line(lines[0]), samples, start_ns, end_ns)

    def _wait_for(self, end_ns: int | None) -> None:
        """While the process runs, wait for the sample after the window, so that its end is between two samples."""
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        while end_ns is not None and self._process is not None and self._process.poll() is None:
            if Sample.from_line(self._lines(last=TAIL_BYTES)[-1]).time_ns >= end_ns or time.monotonic() > deadline_s:
                return
            time.sleep(POLL_S)

    def _lines(self, last: int | None = None) -> list[str]:
        """The complete lines so far, or of the last bytes; ``pread`` leaves the process's own position alone."""
        if self._output is None:
            return []
        file = self._output.fileno()
        size = os.fstat(file).st_size
        start = 0 if last is None else max(0, size - last)
        text = os.pread(file, size - start, start).decode("utf-8")
        return text.split("\n")[:-1]

    def _stop(self) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _last_error(self) -> str:
        if self._errors is None:
            return "no message"
        file = self._errors.fileno()
        text = os.pread(file, os.fstat(file).st_size, 0).decode("utf-8", errors="replace").strip()
        return text.splitlines()[-1] if text else "no message"
