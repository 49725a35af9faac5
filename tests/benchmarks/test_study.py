"""benchmarks/study.py: its measures by hand, what each row runs, and a table of two steps."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def study() -> Any:
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("study")
    sys.path.remove(str(FOLDER))
    sys.modules.pop("study", None)


def counts(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.int64)


def test_miou_by_hand(study: Any) -> None:
    # IoU 6 / (6 + 2 + 1) and 3 / (3 + 2 + 1 + 1); the third class is nowhere.
    assert study.miou(counts([6, 1, 0, 0], [2, 3, 0, 1], [0, 0, 0, 0])) == pytest.approx(100 * (6 / 9 + 3 / 7) / 2)


def test_the_interval_of_equal_runs_has_no_width_and_a_better_run_is_above_zero(study: Any) -> None:
    rng = np.random.default_rng(3)
    worse = [rng.integers(1, 50, (20, 3, 4)) for _ in range(3)]
    better = [each + 40 * np.eye(3, 4, dtype=np.int64) for each in worse]
    assert study.interval(worse, worse) == (0, 0)
    low, high = study.interval(better, worse)
    assert 0 < low < high


def test_what_each_row_runs(study: Any) -> None:
    off = ["--set", "teacher.pseudo_labels=null"]
    assert study.method_words(study.Cell("bpkd", "published", "few", 1)) == ["--method", "bpkd:1", *off]
    assert study.method_words(study.Cell("bpkd", "labelled", "few", 1)) == ["--method", "bpkd", *off]
    assert study.method_words(study.Cell("cwd+brd", "balanced", "few", 1)) == ["--method", "cwd+brd"]
    published = study.method_words(study.Cell("cirkd", "published", "all", 1))
    assert published == ["--set", "methods=[{cirkd: {pool: 2, weight: 1}}]", *off]


@pytest.mark.long
def test_a_table_of_two_steps(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    data = f"cityscapes:{tmp_path / 'data'}"
    small = ["--iters", "2", "--set", "augment.crop=32x64", "--threads", "1"]
    study.segkd("data", "synth", "--out", str(tmp_path / "data"), "--train", "12", "--val", "3", "--imgsz", "64x128")
    study.segkd("train", "--recipe", "quickstart-teacher", "--data", data, *small, "--out", str(tmp_path / "teacher"))
    words = ["study.py", "--out", str(tmp_path / "runs"), "--data", data, "--teacher", str(tmp_path / "teacher")]
    words += ["--frames", ":4", "--iters", "2", "--set", "augment.crop=32x64", "--labels", "few", "--seeds", "1"]
    monkeypatch.setattr(sys, "argv", [*words, "--methods", "cwd", "--jobs", "1"])
    study.main()
    assert "| cwd | balanced | **" in capsys.readouterr().out

    run = tmp_path / "runs" / "few-cwd-balanced-1"
    total = np.load(run / "eval" / "images.npz")["counts"].sum(0)
    assert study.miou(total) == pytest.approx(100 * json.loads((run / "run.json").read_text())["eval"]["miou"])
