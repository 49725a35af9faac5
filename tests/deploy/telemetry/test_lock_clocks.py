from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.telemetry import locked_clocks, read_state, restore_leftovers
from segkd_deploy.telemetry.clock_settings import plan_lock, save_settings, state_file
from tests.deploy.telemetry.test_sampler import running, wait_until_gone
from tests.deploy.telemetry.trees import JETSONS, Tree, computer, orin_nano

HOLDER = """
import sys, time
from pathlib import Path
from segkd_deploy.telemetry import locked_clocks
with locked_clocks(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""
# jetson_clocks of a tree: its own folder tells where the tree is.
FAKE_JETSON_CLOCKS = """#!/bin/sh
gpu="$(dirname "$0")/../../sys/class/devfreq/17000000.gpu"
echo "$@" >> "$(dirname "$0")/calls"
case "$1" in
--store) [ -e "$2" ] && exit 1; cp "$gpu/min_freq" "$2" ;;
--restore) cp "$2" "$gpu/min_freq" ;;
*) [ -e "$(dirname "$0")/refuse" ] && { echo "Error: unsupported" ; exit 1; }; cp "$gpu/max_freq" "$gpu/min_freq" ;;
esac
"""


def values(root: Path) -> dict[str, str]:
    """Every file that a lock would write, with its value."""
    return {setting.path: setting.value for setting in save_settings(plan_lock(root)).settings}


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@contextmanager
def holder(root: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has locked the clocks."""
    command = [sys.executable, "-c", HOLDER, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("board", JETSONS)
def test_clocks_stand_inside_and_are_back_afterwards(tmp_path: Path, board: str) -> None:
    JETSONS[board](tmp_path)
    before = values(tmp_path)
    with locked_clocks(tmp_path) as locked:
        assert values(tmp_path) == {setting.path: setting.value for setting in plan_lock(tmp_path)} != before
        assert locked.method == "sysfs"
        # The files of a tree do not follow each other: EMC moves only where its rate is written.
        assert read_state(tmp_path).clocks_locked is True
        assert state_file(tmp_path).exists()
    assert values(tmp_path) == before
    assert not state_file(tmp_path).exists()


def test_locked_clocks_are_named_in_mhz(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    with locked_clocks(tmp_path) as locked:
        assert locked.to_dict() == {
            "method": "sysfs",
            "clocks": {"17000000.gpu": 918.0, "emc": 2133.0, "policy0": 1510.4, "policy4": 1510.4},
        }


def test_clocks_are_back_after_an_error(tmp_path: Path) -> None:
    computer(tmp_path)
    before = values(tmp_path)
    with pytest.raises(KeyboardInterrupt), locked_clocks(tmp_path):
        assert values(tmp_path) != before
        raise KeyboardInterrupt
    assert values(tmp_path) == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_watchdog_puts_the_clocks_back_when_the_process_dies(tmp_path: Path, number: int) -> None:
    orin_nano(tmp_path)
    before = values(tmp_path)
    with holder(tmp_path) as process:
        (watchdog,) = children(process.pid)
        assert values(tmp_path) != before
        process.send_signal(number)
        process.wait()
        wait_until_gone(watchdog)
    assert values(tmp_path) == before
    assert not state_file(tmp_path).exists()


def test_next_run_puts_back_what_a_dead_run_and_watchdog_left(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    before = values(tmp_path)
    with holder(tmp_path) as process:
        (watchdog,) = children(process.pid)
        os.kill(watchdog, signal.SIGKILL)
        process.kill()
        process.wait()
        wait_until_gone(watchdog)
    assert values(tmp_path) != before and state_file(tmp_path).exists()
    with locked_clocks(tmp_path):
        assert values(tmp_path) != before
    assert values(tmp_path) == before


def test_leftovers_can_be_restored_alone(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    before = values(tmp_path)
    assert restore_leftovers(tmp_path) is False
    with holder(tmp_path) as process:
        for watchdog in children(process.pid):
            os.kill(watchdog, signal.SIGKILL)
        process.kill()
        process.wait()
        wait_until(lambda: not running(watchdog))
    assert restore_leftovers(tmp_path) is True
    assert values(tmp_path) == before


def test_two_runs_do_not_lock_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orin_nano(tmp_path)
    monkeypatch.setattr("segkd_deploy.telemetry.lock_clocks.LOCK_WAIT_S", 0.1)
    with holder(tmp_path):
        during = values(tmp_path)
        with pytest.raises(SegkdError, match="another run has locked the clocks"), locked_clocks(tmp_path):
            pass
        assert values(tmp_path) == during


def test_jetson_clocks_is_used_where_it_is(tmp_path: Path) -> None:
    tree = fake_jetson_clocks(tmp_path)
    before = values(tmp_path)
    store = state_file(tmp_path).with_name("jetson_clocks.conf")
    with locked_clocks(tmp_path) as locked:
        assert (locked.method, locked.clocks) == ("jetson_clocks", {"17000000.gpu": 918.0})
    assert values(tmp_path) == before and not store.exists()
    assert tree.read("/usr/bin/calls").splitlines() == [f"--store {store}", "", f"--restore {store}"]


def test_jetson_clocks_that_fails_is_undone(tmp_path: Path) -> None:
    tree = fake_jetson_clocks(tmp_path)
    tree.write("/usr/bin/refuse", "")
    before = values(tmp_path)
    with pytest.raises(SegkdError, match="jetson_clocks failed: Error: unsupported"), locked_clocks(tmp_path):
        pass
    assert values(tmp_path) == before and not state_file(tmp_path).exists()


def test_watchdog_runs_jetson_clocks_too(tmp_path: Path) -> None:
    fake_jetson_clocks(tmp_path)
    before = values(tmp_path)
    with holder(tmp_path) as process:
        assert values(tmp_path) != before
        process.kill()
        process.wait()
        wait_until(lambda: not state_file(tmp_path).exists())
    assert values(tmp_path) == before


def fake_jetson_clocks(root: Path) -> Tree:
    tree = orin_nano(root)
    tree.write("/usr/bin/jetson_clocks", FAKE_JETSON_CLOCKS)
    tree.path("/usr/bin/jetson_clocks").chmod(0o755)
    return tree


def test_clock_that_does_not_stay_is_an_error_and_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orin_nano(tmp_path)
    before = values(tmp_path)
    settings = [setting for setting in plan_lock(tmp_path) if "policy4" not in setting.path]
    monkeypatch.setattr("segkd_deploy.telemetry.lock_clocks.plan_lock", lambda root: settings)
    with (
        pytest.raises(SegkdError, match="these clocks did not stay where they were put: policy4"),
        locked_clocks(tmp_path),
    ):
        pass
    assert values(tmp_path) == before


def test_machine_without_clocks(tmp_path: Path) -> None:
    with pytest.raises(BackendMissing, match="no clock can be locked here"), locked_clocks(tmp_path):
        pass


AS_NOBODY = """
import os, sys
from pathlib import Path
from segkd.errors import SegkdError
from segkd_deploy.telemetry import locked_clocks, clock_watchdog
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    with locked_clocks(Path(sys.argv[1])):
        print("locked")
except SegkdError as error:
    print(error)
"""


@pytest.mark.parametrize("run_folder_is_writable", [False, True])
def test_without_root_one_line_says_so(run_folder_is_writable: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        orin_nano(root)
        for file in root.glob("sys/**/*_freq"):
            file.chmod(0o444)
        (root / "run").mkdir(mode=0o555)
        if run_folder_is_writable:
            (root / "run").chmod(0o777)
        before = values(root)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, folder],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 1
        where = "min_freq" if run_folder_is_writable else "run/segkd"
        assert done.stdout.startswith("locking clocks needs root: ") and where in done.stdout
        assert done.stdout.endswith("is not writable; use sudo\n")
        assert values(root) == before
