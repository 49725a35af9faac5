"""The process that runs a job, started as the agent starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from segkd_deploy.targets.on_device import supervisor
from segkd_deploy.targets.on_device.agent import is_locked, lock_file


def write_job(folder: Path, *programs: str, **changes: Any) -> None:
    (folder / "out").mkdir(parents=True)
    (folder / "lease").touch()
    steps = [
        {"name": f"step{i}", "argv": ["{python}", "-c", program], "passes": [0, 1]}
        for i, program in enumerate(programs)
    ]
    job = {"steps": steps, "env": {}, "paths": [], "lease_s": 30, "timeout_s": 30, **changes}
    (folder / "job.json").write_text(json.dumps(job))


def start(folder: Path) -> subprocess.Popen[bytes]:
    lock = lock_file(folder.parent / "lock")
    assert lock is not None
    command = [sys.executable, supervisor.__file__, str(folder), str(lock)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=(lock,), start_new_session=True)
    os.close(lock)
    return process


def status_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "status.json").read_text())
    return content


def wait_for(path: Path) -> None:
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def test_a_step_that_may_not_fail_is_the_last(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    write_job(folder, "raise SystemExit(1)", "raise SystemExit(3)", "print('never')")
    assert start(folder).wait(20) == 0
    status = status_of(folder)
    assert status["outcome"] == "done"
    assert [(step["name"], step["rc"]) for step in status["steps"]] == [("step0", 1), ("step1", 3)]
    assert "never" not in (folder / "log").read_text()
    assert not is_locked(tmp_path / "lock") and (tmp_path / "lock").read_bytes() == b""


def test_python_finds_what_was_brought_before_its_own(tmp_path: Path) -> None:
    (tmp_path / "brought").mkdir()
    (tmp_path / "brought" / "numpy.py").write_text("print('brought')")
    folder = tmp_path / "job"
    (tmp_path / "own").mkdir()
    for name in ("numpy", "mine"):
        (tmp_path / "own" / f"{name}.py").write_text("print('own')")
    env = {"PYTHONPATH": str(tmp_path / "own")}
    write_job(folder, "import numpy, mine", paths=[str(tmp_path / "brought")], env=env)
    start(folder).wait(20)
    assert (folder / "log").read_text() == "=== step0\nbrought\nown\n"


STUBBORN = (
    "import os, pathlib, signal, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "pathlib.Path('pids.tmp').write_text(f'{os.getpid()} {child.pid}')\n"
    "os.rename('pids.tmp', 'pids')\n"
    "time.sleep(60)"
)


def test_lease_that_ends_takes_everything(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    write_job(folder, STUBBORN, lease_s=0.6)
    process = start(folder)
    wait_for(folder / "pids")
    pids = [int(word) for word in (folder / "pids").read_text().split()]
    assert process.wait(20) == 0
    assert not folder.exists() and not is_locked(tmp_path / "lock")
    assert not any(is_alive(pid) for pid in pids)


def test_lease_that_is_renewed_holds(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    write_job(folder, "import time; time.sleep(1.6)", lease_s=0.8)
    process = start(folder)
    while process.poll() is None:
        os.utime(folder / "lease") if folder.exists() else None
        time.sleep(0.1)
    assert status_of(folder)["outcome"] == "done"


def test_stop_timeout_and_sigterm(tmp_path: Path) -> None:
    for name, outcome in (("asked", "stopped"), ("term", "stopped"), ("late", "timeout")):
        folder = tmp_path / name
        write_job(folder, STUBBORN, timeout_s=0.5 if name == "late" else 30)
        process = start(folder)
        wait_for(folder / "pids")
        pids = [int(word) for word in (folder / "pids").read_text().split()]
        if name == "asked":
            (folder / "stop").touch()
        elif name == "term":
            process.terminate()
        assert process.wait(20) == 0
        assert status_of(folder)["outcome"] == outcome
        assert not any(is_alive(pid) for pid in pids), name


def test_its_step_dies_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    write_job(folder, STUBBORN)
    process = start(folder)
    wait_for(folder / "pids")
    step, grandchild = (int(word) for word in (folder / "pids").read_text().split())
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not is_locked(tmp_path / "lock")
    end = time.monotonic() + 5
    while is_alive(step) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_alive(step)
    os.kill(grandchild, signal.SIGKILL)
