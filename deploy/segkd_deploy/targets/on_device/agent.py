"""Answers requests on standard input with answers on standard output, and ends when the input does.

Message: two big-endian 32-bit lengths, a JSON header, a payload. Every request can be repeated, because the asking side
repeats what it got no answer to. Files lie under one folder:

    blobs/SHA256            everything that was copied, kept for the next time
    runners/KEY/            unpacked wheels
    jobs/ID/                one run: job.json, log, status.json, artifact/, out/
    lock                    held (flock) by the process that runs a job: it is free as soon as that process is gone
"""

import contextlib
import errno
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"\nSEGKD-AGENT-1\n"
HEAD = struct.Struct(">II")
CHUNK_BYTES = 1 << 20
KEEP_UNUSED_S = 14 * 24 * 3600
POLL_S = 0.1

Header = dict[str, Any]


def pack(header: Header, payload: bytes = b"") -> bytes:
    """One message."""
    text = json.dumps(header).encode()
    return HEAD.pack(len(text), len(payload)) + text + payload


def lock_file(path: Path) -> int | None:
    """A descriptor that holds the lock on a file, or None if another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock on a file."""
    if not path.exists():
        return False
    descriptor = lock_file(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


class Agent:
    """The operations, ``op_NAME(header, payload) -> (header, payload)``."""

    def __init__(self) -> None:
        self.root = Path()
        self.scripts = Path()

    def op_hello(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        """Prepare the folder and keep the other scripts of this package; says what this machine is."""
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "segkd"
        self.root = Path(header["folder"] or base).expanduser().absolute()
        text = json.dumps(header["scripts"], sort_keys=True)
        self.scripts = self.root / "agents" / hashlib.sha256(text.encode()).hexdigest()[:16]
        for folder in (self.root, self.root / "blobs", self.root / "jobs", self.scripts):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, content in header["scripts"].items():
            if not (self.scripts / name).is_file():
                self._write(self.scripts / name, content.encode())
        os.utime(self.scripts)
        self._forget_unused()
        return {**describe(), "folder": str(self.root), "scripts": str(self.scripts)}, b""

    def op_state(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        """Space, who holds the lock, what is unpacked here, and with ``measure`` the bytes of all that is kept."""
        runners = [path.name for path in (self.root / "runners").glob("*") if not path.name.startswith(".")]
        kept = folder_bytes(self.root) if header.get("measure") else None
        holder = self._holder() if is_locked(self.root / "lock") else None
        return {"free_bytes": free_bytes(self.root), "holder": holder, "runners": runners, "kept_bytes": kept}, b""

    def op_missing(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        """Which of some hashes are not here, each with the bytes of it that already came."""
        missing = {}
        for sha in header["shas"]:
            blob = self.root / "blobs" / check_name(sha)
            if blob.is_file():
                os.utime(blob)
            else:
                part = self._part(sha, header["client"])
                missing[sha] = part.stat().st_size if part.is_file() else 0
        return {"missing": missing, "free_bytes": free_bytes(self.root)}, b""

    def op_put(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        """Append to a file; with ``last``, check its hash and keep it. Answers with the bytes that are here."""
        blob, part = self.root / "blobs" / check_name(header["sha"]), self._part(header["sha"], header["client"])
        if blob.is_file():
            return {"have": header["offset"] + len(payload)}, b""
        have = part.stat().st_size if part.is_file() else 0
        if have != header["offset"]:
            return {"have": have}, b""
        with part.open("ab") as file:
            file.write(payload)
        if header["last"]:
            with part.open("rb") as file:
                digest = sha256(file)
            if digest != header["sha"]:
                part.unlink()
                raise ValueError(f"{header['sha']} arrived with other bytes")
            part.chmod(0o400)
            part.replace(blob)
        return {"have": have + len(payload)}, b""

    def op_start(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        """Start a job in a session of its own, or say who holds the lock."""
        job = header["job"]
        folder = self._job(job["id"])
        if (folder / "job.json").exists():
            return {"started": True}, b""

        lock = lock_file(self.root / "lock")
        if lock is None:
            return {"started": False, "holder": self._holder()}, b""

        try:
            (folder / "out").mkdir(parents=True, exist_ok=True, mode=0o700)
            for name, sha in job["files"].items():
                link(self.root / "blobs" / check_name(sha), inside(folder, name))
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps({**job["holder"], "since": time.time()}).encode(), 0)
            self._write(folder / "job.json", json.dumps(job).encode())
            self._write(folder / "lease", b"")
            self._supervise(folder, lock)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            os.close(lock)

        return {"started": True}, b""

    def op_poll(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        """Renew the lease; new bytes of the log, or what there is after ``wait_s``; the status once it has ended."""
        folder = self._job(header["job"])
        if not folder.is_dir():
            return {"state": "gone"}, b""
        if (folder / "lease").exists():
            os.utime(folder / "lease")
        until = time.monotonic() + header["wait_s"]
        while True:
            alive = is_locked(folder / "alive")
            text = read_at(folder / "log", header["offset"])
            if text or not alive or time.monotonic() >= until:
                break
            time.sleep(POLL_S)
        answer: Header = {"state": "running", "free_bytes": free_bytes(self.root)}
        if not alive and not text:
            status = folder / "status.json"
            end_group(folder / "group")
            answer["state"] = "ended" if status.exists() and status.stat().st_size else "lost"
            answer["status"] = json.loads(status.read_bytes()) if answer["state"] == "ended" else None
        return answer, text

    def op_stop(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        """Ask a job to end; its log and status stay."""
        folder = self._job(header["job"])
        if folder.is_dir():
            (folder / "stop").touch()
        return {}, b""

    def op_list(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        """The files that a job wrote: name -> bytes."""
        out = self._job(header["job"]) / "out"
        files = {p.relative_to(out).as_posix(): p.stat().st_size for p in sorted(out.rglob("*")) if p.is_file()}
        return {"files": files}, b""

    def op_get(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        """Bytes of a file that a job wrote."""
        return {}, read_at(inside(self._job(header["job"]) / "out", header["name"]), header["offset"])

    def op_remove(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        """Remove a job's folder."""
        shutil.rmtree(self._job(header["job"]), ignore_errors=True)
        return {}, b""

    def op_run(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        """Run a short Python program that only reads; its output."""
        command = [sys.executable, "-c", header["code"]]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(header["paths"])}
        done = subprocess.run(command, capture_output=True, env=env, stdin=subprocess.DEVNULL, timeout=20, check=False)
        return {"rc": done.returncode, "stderr": done.stderr.decode(errors="replace")[-2000:]}, done.stdout

    def _job(self, job: str) -> Path:
        return self.root / "jobs" / check_name(job)

    def _part(self, sha: str, client: str) -> Path:
        return self.root / "blobs" / f".{check_name(sha)}.{check_name(client)}.part"

    def _holder(self) -> Header:
        try:
            holder: Header = json.loads((self.root / "lock").read_bytes())
        except (OSError, ValueError):
            return {}
        return holder

    def _write(self, path: Path, content: bytes) -> None:
        # No process number: in containers every agent has the same.
        temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _supervise(self, folder: Path, lock: int) -> None:
        alive = lock_file(folder / "alive")
        assert alive is not None
        command = [sys.executable, str(self.scripts / "supervisor.py"), str(folder), str(lock)]
        with (folder / "log").open("ab") as log:
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock, alive),
                start_new_session=True,
                cwd=folder,
            )
        os.close(alive)

    def _forget_unused(self) -> None:
        """Remove what nobody has used for two weeks, and jobs that ended and were never fetched."""
        oldest = time.time() - KEEP_UNUSED_S
        for path in [*self.root.glob("blobs/*"), *self.root.glob("blobs/.*.part")]:
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
        for path in [*self.root.glob("runners/*"), *self.root.glob("jobs/*"), *self.root.glob("agents/*")]:
            if path.stat().st_mtime < oldest and not is_locked(path / "alive"):
                shutil.rmtree(path, ignore_errors=True)


def describe() -> Header:
    """What this machine and its Python are."""
    installed: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            installed.setdefault(name.lower().replace("_", "-"), distribution.version)
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "implementation": platform.python_implementation(),
        "machine": platform.machine(),
        "system": platform.system(),
        "libc": list(platform.libc_ver()),
        "hostname": platform.node(),
        "installed": installed,
    }


def free_bytes(folder: Path) -> int:
    """Bytes that this user can still write."""
    return shutil.disk_usage(folder).free


def folder_bytes(folder: Path) -> int:
    """The size of all files below; those that go meanwhile do not count."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.lstat().st_size if path.is_file() else 0
    return total


def check_name(name: str) -> str:
    """A name that is no path.

    Raises:
        ValueError: for any other.
    """
    if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
        raise ValueError(f"bad name {name!r}")
    return name


def inside(folder: Path, name: str) -> Path:
    """A path below a folder.

    Raises:
        ValueError: if it does not lie there.
    """
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} does not lie inside the folder")
    return folder / path


def end_group(path: Path) -> None:
    """Kill what a step left whose supervisor was killed; the file is gone if the supervisor ended the step itself."""
    with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError, PermissionError):
        os.killpg(int(path.read_text()), signal.SIGKILL)
    path.unlink(missing_ok=True)


def link(blob: Path, path: Path) -> None:
    """Give a kept file a second name; copies it where the file system has no links."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(blob, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EMLINK, errno.EXDEV, errno.ENOTSUP):
            raise
        shutil.copyfile(blob, path)


def read_at(path: Path, offset: int) -> bytes:
    """Up to ``CHUNK_BYTES`` of a file; nothing if it is not there."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)
    except FileNotFoundError:
        return b""


def sha256(file: BinaryIO) -> str:
    """SHA-256 of an open file, in hex."""
    digest = hashlib.sha256()
    while block := file.read(CHUNK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def requests(stream: BinaryIO) -> Iterator[tuple[Header, bytes]]:
    """The messages of a stream, until it ends."""
    while len(head := stream.read(HEAD.size)) == HEAD.size:
        header_bytes, payload_bytes = HEAD.unpack(head)
        text, payload = stream.read(header_bytes), stream.read(payload_bytes)
        if len(text) == header_bytes and len(payload) == payload_bytes:
            yield json.loads(text), payload


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer until the input ends."""
    os.umask(0o077)
    agent = Agent()
    sink.write(MAGIC)
    sink.flush()
    for header, payload in requests(source):
        try:
            answer, content = getattr(agent, f"op_{check_name(header['op'])}")(header, payload)
        except OSError as error:
            answer, content = {"error": str(error), "errno": errno.errorcode.get(error.errno or 0)}, b""
        except (ValueError, subprocess.TimeoutExpired) as error:
            answer, content = {"error": str(error), "errno": None}, b""
        sink.write(pack(answer, content))
        sink.flush()


if __name__ == "__main__":
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        os._exit(0)
