from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segkd.files import write_json
from segkd.recipe import Recipe
from segkd_export.run_evaluation import run_evaluation

GOOD: dict[str, Any] = {"eval": {"miou": 0.5}, "data": {"fingerprints": {"val": "abc"}}}


def test_what_the_run_says_of_itself(tmp_path: Path) -> None:
    assert run_evaluation(tmp_path, Recipe()) is None
    write_json(tmp_path / "run.json", GOOD)
    found = run_evaluation(tmp_path, Recipe())
    assert found is not None and (found.miou, found.fingerprint) == (0.5, "abc")
    assert found.protocol == "full, whole"


@pytest.mark.parametrize("change", [{"eval": {}}, {"eval": {"miou": None}}, {"data": {}}, {"eval": {"miou": 50.0}}])
def test_a_record_without_a_score_gives_none(tmp_path: Path, change: dict[str, Any]) -> None:
    write_json(tmp_path / "run.json", {**GOOD, **change})
    assert run_evaluation(tmp_path, Recipe()) is None
