"""A run on a device: what is brought, the steps, and following them to the end."""

from __future__ import annotations

import getpass
import os
import platform
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segkd.errors import BackendMissing, SegkdError
from segkd.files import sha256_file
from segkd.folders import ArtifactFiles
from segkd_deploy.artifact import Artifact
from segkd_deploy.targets.payload import Part, make_bundle
from segkd_deploy.targets.session import Say, Session
from segkd_deploy.targets.spec import TargetSpec, without_name
from segkd_deploy.targets.verdict import check_answer
from segkd_deploy.tensorrt.engine_cache import FOLDER_VARIABLE as ENGINE_FOLDER

ARTIFACT = "artifact"
OUT = "out"
POLL_WAIT_S = 1.0
LOCK_RETRY_S = 1.0
STOP_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Step:
    """One command on the device.

    Attributes:
        name: for people.
        argv: its words; ``{python}`` is the interpreter there. It runs in the job's folder, where ``artifact`` and
            ``out`` lie.
        passes: the exit codes after which the next step runs.
    """

    name: str
    argv: Sequence[str]
    passes: Sequence[int] = (0, 1)

    @classmethod
    def segkd(cls, command: str, *words: str, name: str | None = None) -> Step:
        """A segkd command."""
        return cls(name or command, ("{python}", "-m", "segkd", command, *words))


@dataclass(frozen=True)
class Timeouts:
    """How long things may take.

    Attributes:
        lease_s: the device ends a run when it hears nothing for so long.
        wait_s: how long to wait for a device that is busy.
        timeout_s: how long the run may take there.
    """

    lease_s: float = 120.0
    wait_s: float = 0.0
    timeout_s: float = 7200.0


@dataclass(frozen=True)
class Outcome:
    """A run that ended by itself.

    Attributes:
        facts: what the agent said of the device.
        steps: ``name``, ``rc`` and ``seconds`` of each step, with the unpacking first.
        files: what it wrote, brought here.
        log: everything it printed.
        copied_bytes: what had to be copied.
    """

    facts: dict[str, Any]
    steps: list[dict[str, Any]]
    files: list[Path]
    log: str
    copied_bytes: int


@dataclass
class _Log:
    """Bytes as they come, told line by line."""

    say: Say
    content: bytearray = field(default_factory=bytearray)
    told: int = 0

    def add(self, data: bytes) -> None:
        self.content += data
        end = self.content.rfind(b"\n") + 1
        for line in self.content[self.told : end].decode(errors="replace").splitlines():
            self.say(line.rstrip().rsplit("\r", 1)[-1])
        self.told = max(self.told, end)

    def last_line(self) -> str:
        lines = [line for line in self.content.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip().removeprefix("segkd: ") if lines else "no message"


def run_on_target(
    spec: TargetSpec,
    artifact: Artifact,
    steps: Sequence[Step],
    out: Path,
    *,
    runtime: str,
    timeouts: Timeouts,
    say: Say = lambda line: None,
    cancel: threading.Event | None = None,
) -> Outcome:
    """Copy, run, bring back, clean up.

    Args:
        spec: the device.
        artifact: what is copied.
        steps: what is run, after the unpacking.
        out: folder for what comes back.
        runtime: a key of ``RUNNERS``; decides which wheels are brought.
        timeouts: how long things may take.
        say: is told, line by line, what happens.
        cancel: once set, the run there is ended.

    Raises:
        BackendMissing: if the device cannot be reached, is busy, or killed the run.
        NoSpace: if its disk is full.
        Stopped: after ``cancel``.
        SegkdError: if a step failed there, with its last line and exit code.
    """
    with Session(spec, say, cancel) as session:
        parts = make_bundle(spec, session.facts, runtime, say)
        files = {
            f"{ARTIFACT}/{name}": artifact.folder / name for name in (ArtifactFiles.MANIFEST, *artifact.manifest.files)
        }
        return run_steps(session, steps, out, timeouts, parts, files)


def run_steps(
    session: Session,
    steps: Sequence[Step],
    out: Path,
    timeouts: Timeouts,
    parts: Sequence[Part] = (),
    files: Mapping[str, Path] | None = None,
) -> Outcome:
    """The same on an open session.

    Args:
        session: the device.
        steps: what is run, after the unpacking.
        out: folder for what comes back.
        timeouts: how long things may take.
        parts: what Python imports from there.
        files: path in the job's folder -> file to copy there.
    """
    files = files or {}
    facts = session.facts
    shas = {name: sha256_file(path) for name, path in files.items()}
    new = _new_parts(session, parts)
    copied = session.put({shas[name]: path for name, path in files.items()})
    for part in new:
        copied += session.put(part.wheels)
    job = {
        "id": uuid.uuid4().hex,
        "files": shas,
        "paths": [_runner_folder(facts, part) for part in parts],
        "steps": [vars(step) for step in (*_unpacking(facts, parts, new), *steps)],
        "env": _environment(session),
        "lease_s": timeouts.lease_s,
        "timeout_s": timeouts.timeout_s,
        "holder": {"host": platform.node(), "user": _user(), "pid": os.getpid()},
    }
    return _run(session, job, timeouts, out, copied)


def _run(session: Session, job: dict[str, Any], timeouts: Timeouts, out: Path, copied: int) -> Outcome:
    log = _Log(session.say)
    ended = False
    try:
        _start(session, job, timeouts.wait_s)
        answer = _follow(session, job["id"], log)
        ended = True
        done = check_answer(session.spec.name, session.facts["folder"], job, answer, log.last_line())
    except BaseException as error:
        if not isinstance(error, BackendMissing) or ended:
            _stop(session, job["id"], log, ended)
        raise
    files = _fetch(session, job["id"], out)
    session.ask("remove", job=job["id"])
    return Outcome(session.facts, done, files, log.content.decode(errors="replace"), copied)


def _fetch(session: Session, job: str, out: Path) -> list[Path]:
    """Bring the evidence here; what cannot be brought stays there, whatever goes wrong: it took long to measure.

    Raises:
        SegkdError: saying where it lies and how to copy it.
    """
    try:
        return session.fetch(job, out)
    except (OSError, SegkdError) as error:
        folder = f"{session.facts['folder']}/jobs/{job}/{OUT}"
        why = f"{out}: cannot be written ({error.strerror})" if isinstance(error, OSError) else str(error)
        kind = BackendMissing if isinstance(error, BackendMissing) else SegkdError
        why = without_name(session.spec.name, session.spec.address, why)
        raise kind(
            f"{session.spec.name}: the run ended there, but its evidence did not come back: {why}; it is kept for two "
            f"weeks: {session.spec.copy_command(folder, 'EVIDENCE')}"
        ) from error


def _start(session: Session, job: dict[str, Any], wait_s: float) -> None:
    until, told = time.monotonic() + wait_s, False
    while True:
        session.check_cancel()
        answer, _ = session.ask("start", job=job)
        if answer["started"]:
            return
        holder = describe_holder(answer["holder"])
        if time.monotonic() >= until:
            raise BackendMissing(f"{session.spec.name}: the device is busy: {holder}; wait for it with --wait SECONDS")
        if not told:
            session.say(f"waiting: {holder}")
            told = True
        session.cancel.wait(min(LOCK_RETRY_S, max(0.0, until - time.monotonic())))


def describe_holder(holder: dict[str, Any]) -> str:
    """Who runs something on a device, and since when."""
    if not holder:
        return "another segkd has just begun there"
    seconds = max(0.0, time.time() - holder.get("since", time.time()))
    return f"{holder.get('user')}@{holder.get('host')} (process {holder.get('pid')}) has used it for {seconds:.0f} s"


def _follow(session: Session, job: str, log: _Log) -> dict[str, Any]:
    while True:
        session.check_cancel()
        answer, data = session.ask("poll", job=job, offset=len(log.content), wait_s=POLL_WAIT_S)
        log.add(data)
        if answer["state"] != "running":
            return answer


def _stop(session: Session, job: str, log: _Log, ended: bool) -> None:
    """End a job and remove what it left; what cannot be reached ends by itself when the lease does."""
    try:
        if not ended:
            session.ask("stop", job=job)
            until = time.monotonic() + STOP_TIMEOUT_S
            state = "running"
            while state == "running" and time.monotonic() < until:
                answer, data = session.ask("poll", job=job, offset=len(log.content), wait_s=POLL_WAIT_S)
                log.add(data)
                state = answer["state"]
        session.ask("remove", job=job)
    except SegkdError as error:
        session.say(f"could not clean up: {error}")


def _new_parts(session: Session, parts: Sequence[Part]) -> list[Part]:
    """The parts that are not unpacked there; raises NoSpace if they do not fit, before anything is copied."""
    state, _ = session.ask("state")
    new = [part for part in parts if part.key not in state["runners"]]
    shas = sorted({sha for part in new for sha in part.wheels})
    missing = session.ask("missing", shas=shas, client=session.client)[0]["missing"]
    wheels = {sha: path for part in new for sha, path in part.wheels.items() if sha in missing}
    needed = sum(path.stat().st_size for path in wheels.values()) + sum(part.unpacked_bytes() for part in new)
    session.check_space(needed, state["free_bytes"])
    return new


def _runner_folder(facts: dict[str, Any], part: Part) -> str:
    return f"{facts['folder']}/runners/{part.key}"


def _unpacking(facts: dict[str, Any], parts: Sequence[Part], new: Sequence[Part]) -> list[Step]:
    blobs = f"{facts['folder']}/blobs"
    return [
        Step(
            f"unpack {part.key.split('-')[0]}",
            (
                "{python}",
                f"{facts['scripts']}/unpack.py",
                _runner_folder(facts, part),
                *(f"{blobs}/{sha}" for sha in sorted(part.wheels) if part in new),
            ),
            passes=(0,),
        )
        for part in parts
    ]


def _environment(session: Session) -> dict[str, str]:
    """The device's own, and engines beside everything else if that has a folder of its own."""
    spec = session.spec
    engines = {} if spec.folder is None else {ENGINE_FOLDER: f"{session.facts['folder']}/engines"}
    return {**engines, **spec.env}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
