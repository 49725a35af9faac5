"""Artifacts and the command line for the tests of this room."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from segkd.cli import main
from segkd.data import DATASETS
from segkd.files import read_json, write_json
from segkd_deploy.bench.settings import PRESETS
from tests.deploy.artifacts import make_artifact
from tests.quiet_machine import be_quiet

SHORT_BENCH = ["--iterations", "20", "--duration", "0", "--warmup-iterations", "2", "--warmup", "0", "--no-peak"]


class Result(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def segkd(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the real entry point with some words; exit code, stdout and stderr."""

    def run(*words: str | Path) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return Result(int(exit_.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact that no test changes."""
    return make_artifact(tmp_path_factory.mktemp("pristine") / "artifact")


@pytest.fixture(scope="session")
def pristine_measured(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with ``parity.json`` and ``bench.json``."""
    folder = tmp_path_factory.mktemp("measured") / "artifact"
    shutil.copytree(pristine, folder)
    for words in (["validate", str(folder)], ["bench", str(folder), *SHORT_BENCH]):
        with pytest.raises(SystemExit) as exit_:
            main(words)
        assert not exit_.value.code
    as_long_as_quick(folder / "bench.json")
    return folder


def as_long_as_quick(path: Path) -> None:
    """Make a short measurement say that it was as long as the preset quick asks, and that nothing disturbed it."""
    bench = read_json(path)
    bench |= {"valid": True, "invalid_reasons": []}
    bench["method"]["settings"] = json.loads(json.dumps(dataclasses.asdict(PRESETS["quick"])))
    write_json(path, bench)


@pytest.fixture
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose other processes and whose drift are nothing, whatever this one does meanwhile."""
    be_quiet(monkeypatch)


@pytest.fixture
def artifact(pristine: Path, tmp_path: Path) -> Path:
    """An artifact to change."""
    return Path(shutil.copytree(pristine, tmp_path / "artifact"))


@pytest.fixture
def measured(pristine_measured: Path, tmp_path: Path) -> Path:
    """An artifact with evidence, to change."""
    return Path(shutil.copytree(pristine_measured, tmp_path / "measured"))


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The specification of a data set in memory."""
    monkeypatch.setitem(DATASETS, "blocks", "tests.deploy.blocks:Blocks")
    return f"blocks:{tmp_path}"
