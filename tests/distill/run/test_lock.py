from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_distill.run.lock import owned

OWN = (
    "import sys, pathlib; from segkd_distill.run.lock import owned\n"
    "with owned(pathlib.Path(sys.argv[1])):\n"
    "    print('mine', flush=True); sys.stdin.readline()"
)


def owner(run: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWN, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "mine\n"
    return process


def test_a_second_process_is_told_who_has_the_folder(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with owner(run) as process:
        with pytest.raises(SegkdError, match=f"run is in use by process {process.pid}: .*--out"), owned(run):
            pass
        assert (run / ".lock").exists()
        process.communicate("\n")
    with owned(run):
        assert (run / ".lock").read_text() == f"{os.getpid()}\n"


def test_the_lock_goes_with_a_killed_process(tmp_path: Path) -> None:
    with owner(tmp_path) as process:
        process.kill()
    assert (tmp_path / ".lock").exists()
    with owned(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_same_process_owns_it_once(tmp_path: Path) -> None:
    with owned(tmp_path):
        with pytest.raises(SegkdError, match=f"in use by process {os.getpid()}"), owned(tmp_path):
            pass
        with pytest.raises(SegkdError, match="in use"), owned(tmp_path):
            pass


def test_of_many_at_once_one_owns_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWN, str(tmp_path / "run")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    # Nobody lets go before all have tried: the two that lost have ended by then.
    lines = [one.stdout.readline() for one in processes]
    assert sorted(lines) == ["", "", "mine\n"]
    errors = [one.communicate("\n")[1] for one in processes]
    assert sum("is in use by process" in error for error in errors) == 2


def test_leftovers_of_dead_processes_go(tmp_path: Path) -> None:
    gone = [".last.ckpt.0123abcd.tmp", ".student.safetensors.deadbeef.tmp", ".run.json.0.tmp"]
    kept = ["last.ckpt", "notes.tmp", ".mine.tmp"]
    for name in gone + kept:
        (tmp_path / name).write_text("")
    with owned(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == set(kept)


def test_folders_that_stay_empty_are_taken_away(tmp_path: Path) -> None:
    with owned(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(SegkdError, match="cannot be written"), owned(tmp_path / "file" / "run"):
        pass
