"""Hidden files beside a place: used again where their writer died, left alone where it lives."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segkd.files.unfinished import replace_folder, unfinished

KILLED = """
import os, signal, sys
from pathlib import Path
from segkd.files.unfinished import unfinished

with unfinished(Path(sys.argv[1]), folder=sys.argv[2] == "folder") as hidden:
    (hidden / "half" if hidden.is_dir() else hidden).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_is_used_again(tmp_path: Path, kind: str) -> None:
    final = tmp_path / "result"
    subprocess.run([sys.executable, "-c", KILLED, str(final), kind], check=False)
    assert os.listdir(tmp_path) == [".result.0.tmp"]
    with unfinished(final, folder=kind == "folder") as hidden:
        assert hidden.name == ".result.0.tmp"
        assert not (os.listdir(hidden) if kind == "folder" else hidden.read_bytes())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("folder", [False, True])
def test_two_writers_of_one_name_do_not_meet(tmp_path: Path, folder: bool) -> None:
    final = tmp_path / "result"
    with unfinished(final, folder=folder) as one, unfinished(final, folder=folder) as other:
        assert one != other
        os.replace(one, final)
        assert other.exists()
    assert os.listdir(tmp_path) == ["result"]


def test_a_link_under_the_hidden_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "dear").write_text("dear")
    (tmp_path / ".result.0.tmp").symlink_to("dear")
    with unfinished(tmp_path / "result") as hidden:
        hidden.write_text("new")
        os.replace(hidden, tmp_path / "result")
    assert (tmp_path / "dear").read_text() == "dear" and (tmp_path / "result").read_text() == "new"


def test_without_locks_the_name_is_one_that_nobody_else_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with unfinished(tmp_path / "result") as one, unfinished(tmp_path / "result") as other:
        assert one != other


def test_the_hidden_name_keeps_the_ending_that_was_asked_for(tmp_path: Path) -> None:
    with unfinished(tmp_path / "a.mp4", ending=".mp4") as hidden:
        assert hidden.suffix == ".mp4" and hidden.name.startswith(".a.mp4.")


def test_a_folder_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    final = tmp_path / "result"
    for content in ("one", "two"):
        with unfinished(final, folder=True) as hidden:
            (hidden / content).touch()
            replace_folder(hidden, final)
    assert os.listdir(final) == ["two"] and os.listdir(tmp_path) == ["result"]


def test_an_earlier_folder_comes_back_when_the_new_one_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final, replace = tmp_path / "result", os.replace
    final.mkdir()
    (final / "dear").touch()

    def fail_once(source: Path, target: Path) -> None:
        if source.name.startswith(".result.0"):
            raise OSError("disk full")
        replace(source, target)

    with pytest.raises(OSError, match="disk full"), unfinished(final, folder=True) as hidden:
        monkeypatch.setattr(os, "replace", fail_once)
        replace_folder(hidden, final)
    assert os.listdir(final) == ["dear"] and os.listdir(tmp_path) == ["result"]
