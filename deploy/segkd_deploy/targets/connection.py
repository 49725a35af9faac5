"""Requests and answers over one process; see ``on_device/agent.py`` for the messages."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import threading
import time
from importlib import resources
from typing import Any

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.targets.on_device.agent import HEAD, MAGIC, pack
from segkd_deploy.targets.transport import MARK, Transport

SCRIPTS = ("supervisor.py", "unpack.py")
HELLO_TIMEOUT_S = 60.0
# Without a single byte: a slow line that still moves is not lost.
SILENCE_TIMEOUT_S = 60.0
_NOISE_BYTES = 1 << 16
_STDERR_BYTES = 1 << 16


class ConnectionLost(Exception):
    """The line went dead after the agent had answered; what was asked may or may not have been done."""


class NoAnswer(ConnectionLost):
    """The line is there and nothing comes over it."""


class NoSpace(SegkdError):
    """The device's disk is full."""


def script(name: str) -> str:
    """The text of a file of ``on_device``."""
    return (resources.files("segkd_deploy.targets.on_device") / name).read_text(encoding="utf-8")


class Connection:
    """A running agent.

    Args:
        transport: how it is started.

    Raises:
        SegkdError: with what to do, if the device cannot be reached or the agent not be started.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.name = transport.spec.name
        agent = script("agent.py").encode()
        self._buffer = bytearray()
        self._stderr = bytearray()
        # A group of its own: Ctrl-C must reach this process alone, which then tells the device.
        self._process = subprocess.Popen(
            transport.command(len(agent)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._drain = threading.Thread(target=self._keep_stderr, daemon=True)
        self._drain.start()
        try:
            self._send(MARK + agent)
            self._find_magic()
        except ConnectionLost as error:
            waited_s = HELLO_TIMEOUT_S if isinstance(error, NoAnswer) else None
            code = self.close()
            said = (self._stderr.decode(errors="replace"), self._buffer.decode(errors="replace"))
            raise transport.explain(code, *said, waited_s=waited_s) from error
        except BaseException:
            self.close()
            raise

    def hello(self) -> dict[str, Any]:
        """Prepare the device's folder; what the device is.

        Raises:
            NoSpace: if the disk there is full.
            SegkdError: if the folder cannot be used.
        """
        scripts = {name: script(name) for name in SCRIPTS}
        return self.ask("hello", folder=self.transport.spec.folder, scripts=scripts)[0]

    def ask(self, op: str, payload: bytes = b"", **header: Any) -> tuple[dict[str, Any], bytes]:
        """One request and its answer.

        Raises:
            ConnectionLost: if no answer came.
            NoSpace: if the device's disk is full.
            SegkdError: if the device could not do it.
        """
        self._send(pack({"op": op, **header}, payload))
        header_bytes, payload_bytes = HEAD.unpack(self._read(HEAD.size))
        answer: dict[str, Any] = json.loads(self._read(header_bytes))
        content = self._read(payload_bytes)
        if "error" in answer:
            if answer.get("errno") in ("ENOSPC", "EDQUOT"):
                raise NoSpace(f"{self.name}: no space left on the device: {answer['error']}")
            raise SegkdError(f"{self.name}: {op} failed there: {answer['error']}")
        return answer, content

    def close(self) -> int | None:
        """End the process; its exit code."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            code: int | None = self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._drain.join(2)
        self._keep_output()
        self._process.stdout.close()
        return code

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._process.stdin.fileno(), view) :]
        except OSError as error:
            raise ConnectionLost(str(error)) from error

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more(SILENCE_TIMEOUT_S)
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        return content

    def _more(self, wait_s: float) -> None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        ready, _, _ = select.select([descriptor], [], [], max(0.0, wait_s))
        if not ready:
            raise NoAnswer("no answer in time")
        data = os.read(descriptor, 1 << 16)
        if not data:
            raise ConnectionLost("the connection ended")
        self._buffer += data

    def _find_magic(self) -> None:
        """Skip what login scripts print before the agent speaks."""
        until = time.monotonic() + HELLO_TIMEOUT_S
        while (at := self._buffer.find(MAGIC)) < 0:
            if len(self._buffer) > _NOISE_BYTES:
                raise BackendMissing(f"{self.name}: its login scripts print without end; they must be silent for ssh")
            self._more(until - time.monotonic())
        del self._buffer[: at + len(MAGIC)]

    def _keep_output(self) -> None:
        """What the process said before it ended: where login is refused, the reason is there."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while len(self._buffer) < _NOISE_BYTES and select.select([descriptor], [], [], 0)[0]:
            data = os.read(descriptor, _NOISE_BYTES)
            if not data:
                return
            self._buffer += data

    def _keep_stderr(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            while data := stream.read(4096):
                self._stderr = (self._stderr + data)[-_STDERR_BYTES:]
