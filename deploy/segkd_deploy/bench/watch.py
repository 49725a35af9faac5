"""The machine beside a measurement: power, heat and throttling of the timed window, clocks that stand still."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from segkd_deploy.bench.timing import Timing
from segkd_deploy.telemetry import Sampler, energy, locked_clocks

IDLE_S = 5.0
POWER_FIELDS = (
    "rail",
    "scope",
    "idle_w",
    "mean_w",
    "max_w",
    "samples",
    "energy_mj_per_frame",
    "net_energy_mj_per_frame",
    "reason",
)
THERMAL_FIELDS = ("start_c", "max_c", "throttled", "events")


class Watch:
    """A context manager around everything that is measured.

    Args:
        sample: whether to sample the machine.
        lock_clocks: whether to lock the clocks; they are restored in any case.
        gpu: number of the GPU whose power counts, on machines with several.
        root: where the system's files are.

    Raises:
        SegkdError: if the clocks cannot be locked, or the sampling process does not start.
    """

    def __init__(self, *, sample: bool, lock_clocks: bool, gpu: int = 0, root: Path = Path("/")) -> None:
        self._sample, self._lock_clocks, self._gpu, self._root = sample, lock_clocks, gpu, root
        self._stack = ExitStack()
        self._sampler: Sampler | None = None
        self._idle_w: float | None = None

    def __enter__(self) -> Watch:
        """Lock the clocks, start sampling, and measure the power of the idle machine where there is power."""
        with self._stack:
            if self._lock_clocks:
                self._stack.enter_context(locked_clocks(self._root))
            if self._sample:
                self._sampler = self._stack.enter_context(Sampler(self._root, gpu=self._gpu))
                if self._sampler.source.name is not None:
                    self._idle_w = self._sampler.idle_w(IDLE_S)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sampling, restore the clocks."""
        self._stack.close()

    def seen(self, timing: Timing) -> tuple[dict[str, Any], dict[str, Any], list[str], list[str]]:
        """What the machine did during the timed calls.

        Returns:
            The ``power`` and ``thermal`` objects of ``bench.json``, reasons that make the measurement invalid, and
            warnings.
        """
        if self._sampler is None:
            power = {**dict.fromkeys(POWER_FIELDS), "reason": "not sampled"}
            return power, dict.fromkeys(THERMAL_FIELDS), [], []
        start_ns, end_ns = timing.calls.begin_ns, timing.calls.end_ns
        telemetry = self._sampler.telemetry(start_ns, end_ns)
        used = energy(telemetry, start_ns, end_ns, len(timing.latencies_ns) * timing.batch, self._idle_w)
        return used.fields(), telemetry.thermal.fields(), list(telemetry.reasons), list(used.warnings)
