"""A device that stays reachable: lost connections are made again, and what was asked is asked again."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segkd.errors import BackendMissing, SegkdError
from segkd.files import write_atomic
from segkd_deploy.targets.connection import Connection, ConnectionLost, NoSpace
from segkd_deploy.targets.on_device.agent import CHUNK_BYTES
from segkd_deploy.targets.spec import TargetSpec
from segkd_deploy.targets.transport import LocalTransport, SshTransport

RECONNECT_DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
_MB = 1e6
# One request's share of a file: small first, so that a slow line gets it through, and larger while the line is fast.
_FIRST_BYTES = 1 << 16
_FAST_S, _SLOW_S = 0.5, 5.0

Say = Callable[[str], None]


class Stopped(SegkdError):
    """The user ended it."""


class Session:
    """A context manager; entering it connects.

    Args:
        spec: the device.
        say: is told, in one line, what happens.
        cancel: once set, what is being done ends soon.

    Attributes:
        facts: what ``hello`` said of the device.

    Raises:
        SegkdError: on entering, with what to do, if the device cannot be used.
    """

    def __init__(self, spec: TargetSpec, say: Say = lambda line: None, cancel: threading.Event | None = None) -> None:
        self.spec, self.say = spec, say
        self.cancel = cancel or threading.Event()
        self.facts: dict[str, Any] = {}
        self.client = uuid.uuid4().hex
        self._connection: Connection | None = None
        self._piece_bytes = _FIRST_BYTES

    def __enter__(self) -> Session:
        """Connect."""
        self._connect()
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._disconnect()

    def ask(self, op: str, payload: bytes = b"", **header: Any) -> tuple[dict[str, Any], bytes]:
        """One request and its answer, over as many connections as it takes.

        Raises:
            BackendMissing: if the connection cannot be had back.
            SegkdError: if the device could not do it.
        """
        for delay_s in (*RECONNECT_DELAYS_S, None):
            try:
                if self._connection is None:
                    self._connect()
                assert self._connection is not None
                return self._connection.ask(op, payload, **header)
            except ConnectionLost as lost:
                problem: Exception = lost
            except BackendMissing as missing:
                problem = missing
            self._disconnect()
            if delay_s is None or self.cancel.wait(delay_s):
                break
            self.say(f"connection lost; trying again ({problem})")
        raise BackendMissing(
            f"{self.spec.name}: the connection was lost and could not be had back ({problem}); what runs there ends by "
            "itself soon"
        )

    def put(self, files: Mapping[str, Path]) -> int:
        """Copy the files that are not there yet.

        Args:
            files: SHA-256 -> file.

        Returns:
            The bytes that were copied.

        Raises:
            NoSpace: if they do not fit.
        """
        answer, _ = self.ask("missing", shas=sorted(files), client=self.client)
        missing: dict[str, int] = answer["missing"]
        sizes = {sha: files[sha].stat().st_size for sha in missing}
        self.check_space(sum(sizes.values()), answer["free_bytes"])
        if missing:
            self.say(f"copying {len(missing)} files, {sum(sizes.values()) / _MB:.1f} MB")
        for sha in missing:
            self._put(sha, files[sha], sizes[sha], missing[sha])
        return sum(sizes.values())

    def check_space(self, needed_bytes: int, free_bytes: int) -> None:
        """Raises NoSpace if the device has less room than is needed."""
        if needed_bytes > free_bytes:
            raise NoSpace(
                f"{self.spec.name}: no space left on the device: {self.facts['folder']} has {free_bytes / _MB:.1f} MB "
                f"free and {needed_bytes / _MB:.1f} MB are needed; free some, or name another `folder:` in devices.yaml"
            )

    def fetch(self, job: str, out: Path) -> list[Path]:
        """Bring the files back that a job wrote, each appearing whole.

        Raises:
            BackendMissing: if the connection was lost for good.
            OSError: if a file cannot be written here.
            SegkdError: if the device names files that lie outside, or gives less than it said.
        """
        answer, _ = self.ask("list", job=job)
        paths = []
        for name, size in answer["files"].items():
            content = bytearray()
            while len(content) < size:
                _, part = self.ask("get", job=job, name=name, offset=len(content))
                if not part:
                    raise SegkdError(f"{self.spec.name}: {name} ended after {len(content)} of {size} bytes")
                content += part
            if ".." in Path(name).parts or Path(name).is_absolute():
                raise SegkdError(f"{self.spec.name}: the device names a file {name!r}")
            write_atomic(out / name, bytes(content))
            paths.append(out / name)
        return paths

    def _put(self, sha: str, path: Path, size: int, offset: int) -> None:
        with path.open("rb") as file:
            while True:
                self.check_cancel()
                file.seek(offset)
                data = file.read(self._piece_bytes)
                last = offset + len(data) >= size
                header = {"sha": sha, "client": self.client, "offset": offset, "last": last}
                start_s = time.monotonic()
                answer, _ = self.ask("put", data, **header)
                self._piece_bytes = next_piece_bytes(self._piece_bytes, time.monotonic() - start_s)
                if last and answer["have"] == size:
                    return
                offset = answer["have"]

    def check_cancel(self) -> None:
        """Raises Stopped once the user ended it."""
        if self.cancel.is_set():
            raise Stopped(f"{self.spec.name}: stopped")

    def _connect(self) -> None:
        transport = (LocalTransport if self.spec.host is None else SshTransport)(self.spec)
        self._connection = Connection(transport)
        try:
            self.facts = self._connection.hello()
        except BaseException:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def next_piece_bytes(piece_bytes: int, spent_s: float) -> int:
    """How much the next request carries, after one of ``piece_bytes`` took so long: twice, half or as much."""
    if spent_s < _FAST_S:
        return min(CHUNK_BYTES, 2 * piece_bytes)
    return max(_FIRST_BYTES, piece_bytes // 2) if spent_s > _SLOW_S else piece_bytes
