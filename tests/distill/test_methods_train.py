"""Every method, alone, through the command line: finite, resumed exactly, and absent from the student's file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from segkd_distill import train as loop
from segkd_distill.methods import METHODS
from segkd_distill.models.zoo import build_model
from segkd_distill.run.resume import load_checkpoint
from tests.distill.commands.command_line import segkd
from tests.distill.training import STUDENT, losses, same, save_teacher, weights

# What must have changed after training: parts of the method's state, by a piece of their names.
TRAINED = {
    "skds": ["discriminator"],
    "cirkd": ["bank", "head"],
    "attnfd": ["connector"],
    "afdcd": ["align", "generator"],
    "fitnet": ["regressor"],
}
OPTIONS = {
    "skds": ["--set", "methods=[{skds: {holistic: hinge}}]"],
}


class Crash(BaseException):
    """The process is gone: nothing is saved after it, nothing is said."""


@pytest.fixture(scope="module")
def teacher(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_teacher(tmp_path_factory.mktemp("teacher") / "run", streets)


def distill(name: str, streets: Path, teacher: Path, out: Path, iters: int) -> Any:
    words: list[object] = ["--data", f"cityscapes:{streets},frames=:8", "--val", f"cityscapes:{streets}"]
    words += ["--unlabelled", f"cityscapes:{streets},frames=8:", "--student", STUDENT, "--teacher", teacher]
    words += ["--imgsz", "64x128", "--batch", 4, "--optimizer", "adamw", "--lr", 0.005, "--eval-every", iters]
    words += ["--method", name, *OPTIONS.get(name, []), "--iters", iters, "--save-every", 1]
    return segkd("distill", *words, "--device", "cpu", "--out", out)


def train_and_resume(
    name: str, streets: Path, teacher: Path, folder: Path, iters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crash in the first step, again in the middle, resume to the end; the same as a run that was left alone."""
    whole, run = folder / "whole", folder / "run"
    result = distill(name, streets, teacher, whole, iters)
    assert result.exit_code == 0, result.output

    real, calls = loop.draw_distortion, {"left": 0}

    def draw(*arguments: Any) -> Any:
        if calls["left"] == 0:
            raise Crash
        calls["left"] -= 1
        return real(*arguments)

    monkeypatch.setattr(loop, "draw_distortion", draw)
    with pytest.raises(Crash):
        distill(name, streets, teacher, run, iters)
    before = load_checkpoint(run / "last.ckpt")["method"]
    calls["left"] = iters // 2
    with pytest.raises(Crash):
        segkd("distill", "--resume", run)
    monkeypatch.setattr(loop, "draw_distortion", real)
    result = segkd("distill", "--resume", run)
    assert result.exit_code == 0, result.output

    ours, theirs = (load_checkpoint(path / "last.ckpt") for path in (run, whole))
    for key in ("model", "method", "optimizer", "adversary_optimizer", "random"):
        assert same(ours[key], theirs[key]), key
    assert losses(run) == losses(whole)
    assert_finite_terms(name, run)
    assert_plain_student(run)
    for part in TRAINED.get(name, []):
        changed = [key for key, value in before.items() if part in key and not torch.equal(value, ours["method"][key])]
        assert changed, f"{part} did not change: {sorted(before)}"


def assert_finite_terms(name: str, run: Path) -> None:
    rows = [values for _, event, values in losses(run) if event == "train"]
    terms = {key for values in rows for key in values if key.startswith(f"{name}/")}
    assert terms
    assert all(math.isfinite(value) for values in rows for value in values.values())


def assert_plain_student(run: Path) -> None:
    with torch.device("meta"):
        plain = build_model(STUDENT, 19).state_dict()
    assert {key: value.shape for key, value in weights(run).items()} == {k: v.shape for k, v in plain.items()}
    params = json.loads((run / "run.json").read_text())["params"]
    with torch.device("meta"):
        assert params == sum(p.numel() for p in build_model(STUDENT, 19).parameters())


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_and_resumes_exactly(
    name: str, streets: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_and_resume(name, streets, teacher, tmp_path, 4, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_for_30_iterations(
    name: str, streets: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_and_resume(name, streets, teacher, tmp_path, 30, monkeypatch)
