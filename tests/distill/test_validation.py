"""Which weights are kept: the best that can be told, never a nan before a number."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from segkd.recipe import parse_recipe
from segkd_distill import validation
from segkd_distill.run.metrics_log import MetricsLog
from segkd_distill.run.run_folder import Position


def validated(mious: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Position, list[bool], str]:
    """Validate once per mIoU: where the run stands, whether each was the best so far, and what was said."""
    results = iter(mious)
    counts = torch.tensor([[1, 0, 0], [0, 0, 0]])
    monkeypatch.setattr(
        validation,
        "_score",
        lambda *_: (SimpleNamespace(miou=next(results), macc=0.5, aacc=0.5), counts),
    )
    monkeypatch.setattr(validation, "save_model", lambda *_: None)
    monkeypatch.setattr(validation, "save_run", lambda *_: None)
    said: list[str] = []
    parts: Any = SimpleNamespace(
        student=torch.nn.Linear(1, 1),
        average=None,
        config=None,
        imgsz=None,
        labels=SimpleNamespace(names=("road", "fence")),
        recipe=parse_recipe({}),
    )
    position = Position()
    with MetricsLog(tmp_path, 0) as log:
        for step in range(1, len(mious) + 1):
            position.step = step
            validation.validate(parts, position, tmp_path, log, SimpleNamespace(say=said.append))  # type: ignore[arg-type]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    return position, [line["best"] for line in lines], "\n".join(said)


def test_nan_is_never_better_than_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    position, best, said = validated([math.nan, 0.4, 0.3], tmp_path, monkeypatch)
    assert best == [True, True, False]
    assert position.best is not None and position.best["miou"] == 0.4 and position.best["step"] == 2
    assert "step 1/" in said and "no validation pixel has a class, so the latest weights are kept" in said


def test_classes_without_a_pixel_are_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, best, said = validated([0.4, 0.5], tmp_path, monkeypatch)
    assert best == [True, True]
    assert said.count("note: fence has no pixel in the validation set") == 1
