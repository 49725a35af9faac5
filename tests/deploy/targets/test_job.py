"""Runs on this machine, through the same agent as on any other."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.targets.connection import ConnectionLost
from segkd_deploy.targets.job import Step, Timeouts, describe_holder, run_steps
from segkd_deploy.targets.session import Session, Stopped, next_piece_bytes
from segkd_deploy.targets.spec import TargetSpec


def python(code: str, *passes: int) -> Step:
    return Step("work", ("{python}", "-c", code), passes=passes or (0,))


@pytest.fixture
def spec(tmp_path: Path) -> TargetSpec:
    return TargetSpec("here", folder=str(tmp_path / "kept"), env={"TOKEN": "hunter2"})


def test_steps_files_and_environment(spec: TargetSpec, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(range(256)) * 10_000)  # more than two messages
    said: list[str] = []
    code = "import os, shutil; print(len(os.environ['TOKEN'])); shutil.copy('in/big', 'out/big')"
    code += "; print(os.environ['SEGKD_ENGINE_CACHE'])"  # beside everything else, on the disk that was named
    engines = f"{tmp_path}/kept/engines"
    with Session(spec, said.append) as session:
        files = {"in/big": tmp_path / "big"}
        outcome = run_steps(
            session, [python("raise SystemExit(1)", 0, 1), python(code)], tmp_path, Timeouts(), (), files
        )
        again = run_steps(session, [python("pass")], tmp_path, Timeouts(), (), files)
    assert [step["rc"] for step in outcome.steps] == [1, 0]
    assert (outcome.copied_bytes, again.copied_bytes) == (2_560_000, 0)
    assert outcome.log == "=== work\n=== work\n7\n" + f"{engines}\n"
    assert said == ["copying 1 files, 2.6 MB", "=== work", "=== work", "7", engines, "=== work"]
    assert outcome.files == [tmp_path / "big"] and (tmp_path / "big").stat().st_size == 2_560_000
    assert list((tmp_path / "kept" / "jobs").iterdir()) == []
    assert "hunter2" not in outcome.log + "".join(said)


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("import sys; print('segkd: change it'); sys.exit(2)", SegkdError, "here: work: change it"),
        ("import sys; print('segkd: no GPU'); sys.exit(3)", BackendMissing, "here: work: no GPU"),
        ("raise ZeroDivisionError('a bug')", SegkdError, "ended there with exit code 1: ZeroDivisionError: a bug"),
        ("import os; os.abort()", BackendMissing, "here: work was ended there by SIGABRT"),
    ],
)
def test_steps_that_fail(spec: TargetSpec, tmp_path: Path, code: str, error: type[SegkdError], message: str) -> None:
    with Session(spec) as session, pytest.raises(error, match=message) as caught:
        run_steps(session, [python(code), python("print('never')")], tmp_path, Timeouts())
    assert caught.value.exit_code == error.exit_code
    assert list((tmp_path / "kept" / "jobs").iterdir()) == []


def test_answers_that_are_lost_are_asked_for_again(
    spec: TargetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every operation is done once and its answer thrown away; the outcome is the same."""
    monkeypatch.setattr("segkd_deploy.targets.session.RECONNECT_DELAYS_S", (0.0, 0.0))
    (tmp_path / "in").write_bytes(b"x" * 3_000_000)
    lost: set[str] = set()
    with Session(spec) as session:
        connect = session._connect

        def losing() -> None:
            connect()
            assert session._connection is not None
            ask = session._connection.ask

            def once(op: str, payload: bytes = b"", **header: object) -> object:
                answer = ask(op, payload, **header)
                if op not in lost:
                    lost.add(op)
                    raise ConnectionLost("cut")
                return answer

            monkeypatch.setattr(session._connection, "ask", once)

        monkeypatch.setattr(session, "_connect", losing)
        session._disconnect()
        step = python("import shutil; print('once'); shutil.copy('in', 'out/back')")
        outcome = run_steps(session, [step], tmp_path / "out", Timeouts(), (), {"in": tmp_path / "in"})
    assert {"missing", "put", "start", "poll", "list", "get", "remove", "state"} <= lost
    assert outcome.log == "=== work\nonce\n"
    assert (tmp_path / "out" / "back").read_bytes() == (tmp_path / "in").read_bytes()
    assert list((tmp_path / "kept" / "jobs").iterdir()) == []


def test_retries_are_bounded(spec: TargetSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkd_deploy.targets.session.RECONNECT_DELAYS_S", (0.0, 0.0))
    said: list[str] = []
    with Session(spec, said.append) as session:

        def gone() -> None:
            raise BackendMissing("here: nothing listens there")

        monkeypatch.setattr(session, "_connect", gone)
        session._disconnect()
        with pytest.raises(BackendMissing, match=r"could not be had back \(here: nothing listens there\)"):
            session.ask("state")
    assert len(said) == 2


def test_stopping_while_it_runs(spec: TargetSpec, tmp_path: Path) -> None:
    cancel = threading.Event()

    def say(line: str) -> None:
        if line == "on":
            cancel.set()

    with Session(spec, say, cancel) as session, pytest.raises(Stopped):
        run_steps(session, [python("import time; print('on'); time.sleep(60)")], tmp_path, Timeouts())
    assert list((tmp_path / "kept" / "jobs").iterdir()) == []


def test_evidence_that_cannot_be_written_here_stays_there(spec: TargetSpec, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    step = python("import pathlib; pathlib.Path('out/bench.json').write_text('measured for an hour')")
    with Session(spec) as session, pytest.raises(SegkdError, match="its evidence did not come back: ") as caught:
        run_steps(session, [step], tmp_path / "out" / "here", Timeouts())
    (job,) = (tmp_path / "kept" / "jobs").iterdir()
    assert (job / "out" / "bench.json").read_text() == "measured for an hour"
    assert str(caught.value).endswith(f"it is kept for two weeks: cp -r {job}/out EVIDENCE")
    assert "cannot be written (Not a directory)" in str(caught.value)


def test_evidence_stays_there_when_the_line_is_lost_at_the_end(
    spec: TargetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(job: str, out: Path) -> list[Path]:
        raise BackendMissing("here: the connection was lost")

    with Session(spec) as session:
        monkeypatch.setattr(session, "fetch", lost)
        with pytest.raises(BackendMissing, match=r"^here: the run ended there, .* back: the connection was lost; it"):
            run_steps(session, [python("open('out/a', 'w').close()")], tmp_path / "out", Timeouts())
    (job,) = (tmp_path / "kept" / "jobs").iterdir()
    assert (job / "out" / "a").is_file()


def test_requests_grow_while_the_line_is_fast() -> None:
    assert next_piece_bytes(1 << 16, 0.1) == 1 << 17 and next_piece_bytes(1 << 20, 0.1) == 1 << 20
    assert next_piece_bytes(1 << 20, 2.0) == 1 << 20
    assert next_piece_bytes(1 << 20, 9.0) == 1 << 19 and next_piece_bytes(1 << 16, 9.0) == 1 << 16


def test_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spec = TargetSpec("here", folder=str(tmp_path / "file" / "below"))
    with pytest.raises(SegkdError, match=r"here: hello failed there: .*Not a directory"), Session(spec):
        pass


def test_holder() -> None:
    assert describe_holder({}) == "another segkd has just begun there"
    holder = {"user": "me", "host": "desk", "pid": 7}
    assert describe_holder(holder) == "me@desk (process 7) has used it for 0 s"
