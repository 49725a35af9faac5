from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from segkd.files import read_json
from segkd.recipe import Recipe
from segkd_distill import validation
from segkd_distill.models.saved_model import load_run
from segkd_distill.models.zoo import build_model
from segkd_distill.train import fit
from segkd_distill.weight_average import WeightAverage
from tests.distill.training import losses, recipe_of, same


def constant(value: float) -> torch.nn.Module:
    network = build_model("quickstart-mv2", 3)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.fill_(value)
    return network


def test_the_first_steps_are_forgotten_and_then_the_decay_holds() -> None:
    average = WeightAverage(constant(0.0), decay=0.5)
    expected = 0.0
    for step, kept in enumerate([2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 9 / 18, 0.5, 0.5], start=1):
        average.update(constant(float(step)))
        expected = kept * expected + (1 - kept) * step
        for name, tensor in average.network.state_dict().items():
            value = expected if tensor.is_floating_point() else step
            assert tensor.flatten()[0].item() == pytest.approx(value, rel=1e-5), name


def test_the_network_that_trains_is_left_alone() -> None:
    network = constant(1.0)
    average = WeightAverage(network, decay=0.9)
    before = copy.deepcopy(network.state_dict())
    average.update(network)
    assert same(network.state_dict(), before) and network.training and not average.network.training
    assert all(p.requires_grad for p in network.parameters())


@pytest.fixture(scope="module")
def recipe(streets: Path) -> Recipe:
    return recipe_of(streets, "train.ema=0.6")


@pytest.mark.parametrize("better", ["averaged", "latest"])
def test_the_better_of_both_is_the_student(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, better: str
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    real = validation._score

    def score(parts, student, what):  # type: ignore[no-untyped-def]
        _, counts = real(parts, student, what)
        seen.append(copy.deepcopy(student.state_dict()))
        first = student is parts.student
        wins = first == (better == "latest")
        counts = torch.eye(*counts.shape, dtype=torch.int64) * 10 + (0 if wins else 1)
        return validation.scores(counts.numpy()), counts

    monkeypatch.setattr(validation, "_score", score)
    record = fit(recipe, tmp_path / "run", device="cpu")
    assert record["averaged_weights"] == (better == "averaged")
    kept = load_run(tmp_path / "run").model.state_dict()
    assert same(kept, seen[1 if better == "averaged" else 0])  # of the first validation: the others are no better
    rows = [row for _, event, row in losses(tmp_path / "run") if event == "eval"]
    assert [row["averaged"] for row in rows] == [better == "averaged"] * 2


def test_a_run_without_progress_ends_early_and_is_complete(
    streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipe_of(streets, "eval.patience=2", "eval.every=1")
    real, calls = validation._score, []

    def worse(parts, student, what):  # type: ignore[no-untyped-def]
        _, counts = real(parts, student, what)
        calls.append(what)
        counts = torch.eye(*counts.shape, dtype=torch.int64) * 10 + len(calls)
        return validation.scores(counts.numpy()), counts

    monkeypatch.setattr(validation, "_score", worse)
    record = fit(recipe, tmp_path / "run", device="cpu")
    assert record["stopped_early_at"] == 3 and record["best"]["step"] == 1
    assert "stopped after step 3: 2 validations without a better one" in capsys.readouterr().err
    assert read_json(tmp_path / "run" / "run.json")["finished"] is True
    assert fit(recipe, tmp_path / "run", device="cpu", resume=True) == record
