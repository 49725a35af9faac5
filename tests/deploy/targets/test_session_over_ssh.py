"""What can go wrong between two machines, each fault made for real on an OpenSSH server."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.targets.connection import NoSpace
from segkd_deploy.targets.job import Outcome, Step, Timeouts, run_steps
from segkd_deploy.targets.on_device.agent import is_locked
from segkd_deploy.targets.session import Session, Stopped
from segkd_deploy.targets.spec import TargetSpec, parse_url
from tests.deploy.targets.ssh_server import SshServer, make_key, write_client

pytestmark = pytest.mark.long


def spec_of(server: SshServer) -> TargetSpec:
    spec = parse_url(server.url)
    assert spec is not None
    return spec


def python(code: str, name: str = "work") -> Step:
    return Step(name, ("{python}", "-c", code), passes=(0,))


SLOW = python(
    "import pathlib, time\n"
    "for i in range(25):\n    print('tick', i)\n    time.sleep(0.1)\n"
    "pathlib.Path('out/done').write_text('all of it')"
)


class Background(threading.Thread):
    """Steps on a device, in a thread."""

    def __init__(self, spec: TargetSpec, step: Step, out: Path, **limits: float) -> None:
        super().__init__()
        self.spec, self.step, self.out, self.limits = spec, step, out, Timeouts(**limits)
        self.cancel = threading.Event()
        self.said: list[str] = []
        self.outcome: Outcome | None = None
        self.error: SegkdError | None = None
        self.start()

    def run(self) -> None:
        try:
            with Session(self.spec, self.said.append, self.cancel) as session:
                self.outcome = run_steps(session, [self.step], self.out, self.limits)
        except SegkdError as error:
            self.error = error

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + 20
        while not any(text in line for line in self.said):
            assert self.is_alive() and time.monotonic() < end, (self.said, self.error)
            time.sleep(0.05)


def error_of(spec: TargetSpec) -> SegkdError:
    """Why a device cannot be used."""
    with pytest.raises(SegkdError) as caught, Session(spec):
        pass
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


# --- Not reachable. ---


def test_connection_refused(server: SshServer) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        error = error_of(dataclasses.replace(spec_of(server), port=probe.getsockname()[1]))
    assert isinstance(error, BackendMissing) and "nothing listens there" in str(error)


def test_unknown_host_name(server: SshServer) -> None:
    error = error_of(TargetSpec("gone", host="gone.invalid"))
    assert error.exit_code == 2 and "there is no host of this name" in str(error)


def test_unknown_host_key_is_refused_unless_told(server: SshServer) -> None:
    server.known_hosts.unlink()
    error = error_of(spec_of(server))
    assert error.exit_code == 2 and "the host key is unknown" in str(error) and "--accept-new-host-key" in str(error)
    assert not server.known_hosts.exists()
    with Session(dataclasses.replace(spec_of(server), accept_new_host_key=True)) as session:
        assert session.facts["system"] == "Linux"
    assert server.known_hosts.read_text().startswith(f"[127.0.0.1]:{server.port} ")


def test_changed_host_key_is_refused_even_if_told(server: SshServer, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {(tmp_path / 'other.pub').read_text()}")
    error = error_of(dataclasses.replace(spec_of(server), accept_new_host_key=True))
    assert error.exit_code == 2 and "the host key has CHANGED" in str(error)
    assert f"ssh-keygen -R [127.0.0.1]:{server.port}" in str(error)


def test_wrong_key(server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_key(tmp_path / "wrong")
    client = write_client(server, tmp_path / "wrong-client", tmp_path / "wrong")
    monkeypatch.setenv("PATH", f"{client}{os.pathsep}{os.environ['PATH']}")
    error = error_of(spec_of(server))
    assert error.exit_code == 2 and "no key is accepted" in str(error) and "ssh-copy-id" in str(error)


def test_no_answer(server: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "segkd_deploy.targets.transport.SSH_OPTIONS", ("BatchMode=yes", "ConnectTimeout=1", "LogLevel=ERROR")
    )
    with socket.create_server(("127.0.0.1", 0)) as mute:  # accepts and says nothing
        error = error_of(dataclasses.replace(spec_of(server), port=mute.getsockname()[1]))
    assert (error.exit_code == 3 and "timed out" in str(error).lower()) or "no answer" in str(error)


# --- No Python that would do. ---


def test_missing_python(server: SshServer) -> None:
    error = error_of(dataclasses.replace(spec_of(server), python="python3.99"))
    assert (
        isinstance(error, BackendMissing)
        and "python3.99 does not start there" in str(error)
        and "not found" in str(error)
    )


def test_python_that_is_too_old(server: SshServer) -> None:
    old = server.home / "old-python"
    old.write_text("#!/bin/sh\necho 'segkd: too old: Python 3.8.10' >&2\nexit 1\n")
    old.chmod(0o755)
    error = error_of(dataclasses.replace(spec_of(server), python="~/old-python"))
    assert isinstance(error, BackendMissing) and "Python 3.8.10, 3.10 is needed" in str(error)


def test_login_scripts_may_speak(server: SshServer) -> None:
    rc = server.home / ".bashrc"
    before = rc.read_text() if rc.exists() else ""
    rc.write_text("echo welcome to the board\n")
    try:
        with Session(spec_of(server)) as session:
            assert session.facts["folder"] == str(server.cache)
    finally:
        rc.write_text(before)


# --- Cut, killed, full, busy. ---


def test_cut_connection_loses_nothing(server: SshServer, tmp_path: Path) -> None:
    work = Background(spec_of(server), SLOW, tmp_path)
    work.wait_for("tick 3")
    assert server.cut() >= 1
    work.wait_for("connection lost; trying again")
    work.join(30)
    assert work.outcome is not None, work.error
    ticks = [line for line in work.outcome.log.splitlines() if line.startswith("tick")]
    assert ticks == [f"tick {i}" for i in range(25)]
    assert [line for line in work.said if line.startswith("tick")] == ticks
    assert (tmp_path / "done").read_text() == "all of it"


def test_cut_while_copying(server: SshServer, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(30_000_000))
    said: list[str] = []
    with Session(spec_of(server), said.append) as session:
        killer = threading.Timer(0.3, server.cut)
        put = session._put

        def slow_put(*words: object) -> None:
            killer.start()
            put(*words)  # type: ignore[arg-type]

        session._put = slow_put  # type: ignore[method-assign]
        step = python("import pathlib, shutil; shutil.copy('big', 'out/big')")
        run_steps(session, [step], tmp_path / "back", Timeouts(), files={"big": big})
    assert (tmp_path / "back" / "big").read_bytes() == big.read_bytes()


def test_device_that_does_not_come_back(server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkd_deploy.targets.session.RECONNECT_DELAYS_S", (0.1, 0.1))
    work = Background(
        spec_of(server), python("import time; print('on', flush=True); time.sleep(60)"), tmp_path, lease_s=2
    )
    work.wait_for("on")
    server.known_hosts.write_text("")
    server.cut()
    work.join(20)
    assert work.error is not None and "host key is unknown" in str(work.error)
    assert server.wait_until_idle(15) == {}  # the lease ended it
    assert not is_locked(server.cache / "lock")


def test_run_that_is_killed_there(server: SshServer, tmp_path: Path) -> None:
    child = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    code = f"import subprocess, sys, time; {child}; print('on'); time.sleep(60)"
    work = Background(spec_of(server), python(code), tmp_path)
    work.wait_for("on")
    for pid, words in server.processes().items():
        if "supervisor.py" in words:
            os.kill(pid, signal.SIGKILL)
    work.join(20)
    assert isinstance(work.error, BackendMissing) and "was killed, or the device restarted" in str(work.error)
    assert server.wait_until_idle(5) == {}  # the step died with it, and what it had started
    assert not is_locked(server.cache / "lock")


def test_step_that_is_killed_there(server: SshServer, tmp_path: Path) -> None:
    work = Background(spec_of(server), python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), tmp_path)
    work.join(20)
    assert isinstance(work.error, BackendMissing) and "work was ended there by SIGKILL (out of memory?)" in str(
        work.error
    )


def test_run_that_takes_too_long(server: SshServer, tmp_path: Path) -> None:
    work = Background(spec_of(server), python("import time; time.sleep(60)"), tmp_path, timeout_s=1)
    work.join(20)
    assert isinstance(work.error, BackendMissing) and "more than 1 s there" in str(work.error)


def test_stopped_by_the_user(server: SshServer, tmp_path: Path) -> None:
    work = Background(spec_of(server), SLOW, tmp_path)
    work.wait_for("tick 1")
    work.cancel.set()
    work.join(20)
    assert isinstance(work.error, Stopped)
    assert server.wait_until_idle(5) == {}
    assert list((server.cache / "jobs").iterdir()) == [] and not is_locked(server.cache / "lock")


def test_two_runs_at_once(server: SshServer, tmp_path: Path) -> None:
    first = Background(spec_of(server), SLOW, tmp_path / "first")
    first.wait_for("tick 1")
    second = Background(spec_of(server), python("print('mine')"), tmp_path / "second")
    second.join(20)
    assert isinstance(second.error, BackendMissing)
    assert "the device is busy" in str(second.error) and f"(process {os.getpid()})" in str(second.error)
    third = Background(spec_of(server), python("print('mine')"), tmp_path / "third", wait_s=30)
    for work in (first, third):
        work.join(30)
        assert work.outcome is not None, work.error
    assert third.said[0].startswith("waiting: ") and "mine" in third.said


@pytest.fixture
def small_disk(server: SshServer) -> Iterator[Path]:
    """A disk of 4 MB of the user's."""
    folder = server.home / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0777", "segkd-test", str(folder)], check=True)
    yield folder
    server.wait_until_idle()
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


def test_disk_that_is_too_small(server: SshServer, small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(9_000_000))
    spec = dataclasses.replace(spec_of(server), folder=str(small_disk))
    with Session(spec) as session, pytest.raises(NoSpace, match=r"no space left on the device: .* 9\.0 MB are needed"):
        run_steps(session, [python("pass")], tmp_path, Timeouts(), files={"big": tmp_path / "big"})
    assert list((small_disk / "jobs").iterdir()) == []


def test_disk_that_is_full_before(server: SshServer, small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "filler").write_bytes(bytes(8_000_000))
    error = error_of(dataclasses.replace(spec_of(server), folder=str(small_disk)))
    assert isinstance(error, NoSpace) and error.exit_code == 2 and "no space left" in str(error)


def test_disk_that_fills_up(server: SshServer, small_disk: Path, tmp_path: Path) -> None:
    spec = dataclasses.replace(spec_of(server), folder=str(small_disk))
    work = Background(spec, python("open('out/big', 'wb').write(bytes(9_000_000))"), tmp_path)
    work.join(20)
    assert isinstance(work.error, NoSpace) and "is full; the run there failed" in str(work.error)
    assert list((small_disk / "jobs").iterdir()) == [] and not is_locked(small_disk / "lock")
