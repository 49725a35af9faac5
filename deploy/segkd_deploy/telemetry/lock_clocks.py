"""Clocks at the highest frequency of the power mode while a measurement runs, and back afterwards, always.

Three things put them back: leaving the context; a watchdog process, if this one dies; and the next run, if both died.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.telemetry.clock_settings import (
    SavedClocks,
    find_jetson_clocks,
    plan_lock,
    restore_saved,
    run_jetson_clocks,
    save_settings,
    state_file,
    write_setting,
    write_state,
)
from segkd_deploy.telemetry.clocks import find_clocks

LOCK_WAIT_S = 10.0
POLL_S = 0.05


@dataclass(frozen=True)
class LockedClocks:
    """What was locked.

    Attributes:
        method: ``jetson_clocks``, or ``sysfs`` if the files were written one by one.
        clocks: name of a clock -> MHz; of those that stand still now.
    """

    method: str
    clocks: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"method": self.method, "clocks": dict(self.clocks)}


@contextlib.contextmanager
def locked_clocks(root: Path = Path("/")) -> Iterator[LockedClocks]:
    """Lock the clocks of GPU, memory and CPU at the highest frequency that the power mode allows.

    NVIDIA's ``jetson_clocks`` does it where it is installed; elsewhere the files of /sys are written. What an earlier
    run left locked is put back first.

    Args:
        root: where the system's files are.

    Raises:
        SegkdError: without root, if another run holds the clocks, or if one does not stay where it was put; also on
            leaving, if one could not be put back.
        BackendMissing: if the machine has no clock that can be locked.
    """
    with _one_at_a_time(root) as lock_file:
        _complain(restore_saved(root))
        jetson_clocks = find_jetson_clocks(root)
        settings = [] if jetson_clocks is not None else plan_lock(root)
        if jetson_clocks is None and not settings:
            raise BackendMissing("no clock can be locked here: neither jetson_clocks, nor cpufreq or devfreq in /sys")

        if jetson_clocks is not None:
            store = state_file(root).with_name("jetson_clocks.conf")
            _store(jetson_clocks, store)
            saved = SavedClocks(jetson_clocks=str(jetson_clocks), store=str(store))
        else:
            saved = save_settings(settings)
        write_state(root, saved)

        with _watchdog(root, lock_file), _restored(root):
            if jetson_clocks is not None:
                run_jetson_clocks(str(jetson_clocks))
            for setting in settings:
                write_setting(setting)
            locked = _standing(root)
            if jetson_clocks is None:
                _check_all_stand(root, locked)
            yield LockedClocks("sysfs" if jetson_clocks is None else "jetson_clocks", locked)


def restore_leftovers(root: Path = Path("/")) -> bool:
    """Put back what a run left locked that died together with its watchdog.

    Returns:
        Whether there was anything.

    Raises:
        SegkdError: if it cannot be put back, or if a run holds the clocks now.
    """
    if not state_file(root).exists():
        return False
    with _one_at_a_time(root):
        _complain(restore_saved(root))
    return True


def _store(command: Path, store: Path) -> None:
    # The command asks before it overwrites a file.
    store.unlink(missing_ok=True)
    run_jetson_clocks(str(command), "--store", str(store))
    if not store.is_file():
        raise SegkdError(f"{command} --store {store} wrote no file; the clocks could not be put back")


def _standing(root: Path) -> dict[str, float]:
    locked = ((clock.name, clock.locked_hz()) for clock in find_clocks(root))
    return {name: hz / 1e6 for name, hz in locked if hz is not None}


def _check_all_stand(root: Path, locked: dict[str, float]) -> None:
    moving = [clock.name for clock in find_clocks(root) if clock.highest_hz() is not None and clock.name not in locked]
    if moving:
        raise SegkdError(f"these clocks did not stay where they were put: {', '.join(moving)}")


@contextlib.contextmanager
def _one_at_a_time(root: Path) -> Iterator[int]:
    """Hold a lock that the kernel lets go when this process and the watchdog are gone."""
    path = state_file(root).with_name("clocks.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise SegkdError(f"locking clocks needs root: {path} is not writable; use sudo") from error
    try:
        deadline_s = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline_s:
                    raise SegkdError("another run has locked the clocks of this machine; wait for its end") from error
                time.sleep(POLL_S)
        yield file
    finally:
        os.close(file)


@contextlib.contextmanager
def _watchdog(root: Path, lock_file: int) -> Iterator[None]:
    command = [sys.executable, "-m", "segkd_deploy.telemetry.clock_watchdog", str(root.absolute())]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Its own session: a Ctrl-C or a kill of the whole group must not take it along.
        start_new_session=True,
        pass_fds=(lock_file,),
    ) as process:
        if process.stdin is None or process.stdout is None or process.stdout.readline().strip() != b"ready":
            raise SegkdError("the process that guards the clocks did not start; nothing was locked")
        yield
        # Reached only when the clocks are back; otherwise the end of its input makes the watchdog restore them.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"restored\n")
            process.stdin.flush()


@contextlib.contextmanager
def _restored(root: Path) -> Iterator[None]:
    try:
        yield
    finally:
        _complain(restore_saved(root))


def _complain(failures: list[str]) -> None:
    if failures:
        raise SegkdError(f"the clocks could not be put back: {'; '.join(failures)}")
