"""Whether a folder is a run or an artifact: one answer for all rooms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from segkd.folders import ArtifactFiles, RunFiles, is_artifact, is_run

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "name", [RunFiles.CARD, RunFiles.RECORD, RunFiles.METRICS, RunFiles.WEIGHTS, RunFiles.CHECKPOINT]
)
def test_a_run_is_known_by_each_of_its_own_files(tmp_path: Path, name: str) -> None:
    assert not is_run(tmp_path)
    (tmp_path / name).touch()
    assert is_run(tmp_path) and not is_artifact(tmp_path)


def test_a_recipe_alone_is_no_run(tmp_path: Path) -> None:
    (tmp_path / RunFiles.RECIPE).touch()
    assert not is_run(tmp_path)


def test_a_folder_with_a_manifest_is_an_artifact_and_no_run(tmp_path: Path) -> None:
    (tmp_path / ArtifactFiles.MANIFEST).touch()
    (tmp_path / RunFiles.METRICS).touch()
    assert is_artifact(tmp_path) and not is_run(tmp_path)


def test_what_is_not_there_is_neither(tmp_path: Path) -> None:
    assert not is_run(tmp_path / "nowhere") and not is_artifact(tmp_path / "nowhere")


def test_no_other_module_spells_the_names_of_these_files() -> None:
    names = [value for table in (RunFiles, ArtifactFiles) for key, value in vars(table).items() if key.isupper()]
    spelt = re.compile("|".join(f'"{re.escape(name)}"' for name in names if "." in name))
    files = [p for room in ("core", "distill", "export", "deploy") for p in (ROOT / room).rglob("*.py")]
    assert [p.name for p in files if spelt.search(p.read_text(encoding="utf-8"))] == ["folders.py"]
