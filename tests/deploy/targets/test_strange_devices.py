"""Devices that answer strangely, each behind an ``ssh`` of this test's own: one line that says what to do."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.targets import connection
from segkd_deploy.targets.session import Session
from segkd_deploy.targets.spec import TargetSpec

_LAST = 'for last; do :; done\nexec sh -c "$last"\n'
# Passes on what the device says in small pieces, with pauses.
_DRIP = """
import os, subprocess, sys, time
process = subprocess.Popen(["sh", "-c", sys.argv[-1]], stdin=0, stdout=subprocess.PIPE)
while data := os.read(process.stdout.fileno(), 200):
    os.write(1, data)
    time.sleep(0.15)
"""


@pytest.fixture
def spec(tmp_path: Path) -> TargetSpec:
    return TargetSpec("dev", "10.0.0.4", "me", 2222, python=sys.executable, folder=str(tmp_path / "kept"))


def fake_ssh(folder: Path, monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    """Put an ``ssh`` first on PATH; its last argument is what the device's shell is given."""
    (folder / "bin").mkdir()
    (folder / "bin" / "ssh").write_text(f"#!/bin/sh\n{lines}")
    (folder / "bin" / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("lines", "exit_code", "message"),
    [
        ("exit 255\n", 3, "closed without a word: is it an SSH server on this port"),
        ("exit 1\n", 3, "`ssh -v -p 2222 me@10.0.0.4 true` says more"),
        (
            "echo 'This account is currently not available.'; exit 1\n",
            2,
            "this user may not run commands there (This a",
        ),
        ("echo 'This service allows sftp connections only.'; exit 1\n", 2, "may not run commands there (This service"),
        ("echo 'Disk quota exceeded' ; exit 1\n", 3, "ssh ended with 1: Disk quota exceeded"),
        (
            f"read line\n{_LAST}",
            2,
            "something there reads the standard input before segkd can, such as `read` in .bash",
        ),
        (f"head -c 3 >/dev/null\n{_LAST}", 2, "something there reads the standard input"),
        ("exec sleep 30\n", 3, "nothing answered within 1 s: a login script that waits (.bashrc, .profile)"),
    ],
)
def test_what_went_wrong_is_said(
    spec: TargetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, exit_code: int, message: str
) -> None:
    monkeypatch.setattr(connection, "HELLO_TIMEOUT_S", 1.0 if "sleep" in lines else 20.0)
    fake_ssh(tmp_path, monkeypatch, lines)
    with pytest.raises(SegkdError) as caught, Session(spec):
        pass
    assert message in str(caught.value) and caught.value.exit_code == exit_code
    assert str(caught.value).startswith("dev") and "\n" not in str(caught.value)


def test_a_slow_line_that_moves_is_not_lost(spec: TargetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to ``hello`` takes longer than the silence that is borne."""
    fake_ssh(tmp_path, monkeypatch, f'exec {sys.executable} -c {shlex.quote(_DRIP)} "$@"\n')
    monkeypatch.setattr(connection, "SILENCE_TIMEOUT_S", 1.0)
    with Session(spec) as session:
        assert len(str(session.facts)) > 2000
        assert session.ask("state")[0]["free_bytes"] > 0


def test_silence_is_a_lost_line(spec: TargetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh(tmp_path, monkeypatch, _LAST)
    monkeypatch.setattr("segkd_deploy.targets.session.RECONNECT_DELAYS_S", ())
    with Session(spec) as session:
        monkeypatch.setattr(connection, "SILENCE_TIMEOUT_S", 0.2)
        with pytest.raises(BackendMissing, match="no answer in time"):
            session.ask("run", code="import time; time.sleep(5)", paths=[])
