from __future__ import annotations

from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd.files import sha256_file
from segkd_distill.scoring import score_run
from segkd_distill.train import fit
from tests.distill.training import recipe_of, save_teacher, write_folder


def test_scores_are_those_of_the_run(streets: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    record = fit(recipe_of(streets, "train.iters=8", "eval.every=3"), run, device="cpu")
    result, quality = score_run(run, None, device="cpu")
    for key in ("miou", "macc", "aacc"):
        assert result[key] == pytest.approx(record["eval"][key], abs=1e-12)
    assert result["per_class"] == record["eval"]["per_class"] and quality.miou == result["miou"]
    assert result["classes"] == list(record["eval"]["per_class"]) and result["images"] == 4
    assert result["data"] == f"cityscapes:{streets}" and result["fingerprint"] == record["data"]["fingerprints"]["val"]
    assert result["weights_sha256"] == sha256_file(run / "student.safetensors")


def test_predictions_of_another_split(streets: Path, tmp_path: Path) -> None:
    run = save_teacher(tmp_path / "run", streets)
    result, _ = score_run(
        run, f"cityscapes:{streets},frames=:3", split="train", device="cpu", save_predictions=tmp_path / "p"
    )
    assert result["images"] == 3
    assert len(list((tmp_path / "p").glob("*.png"))) == len(list((tmp_path / "p" / "color").glob("*.png"))) == 3


def test_a_run_without_recipe_needs_data(streets: Path, tmp_path: Path) -> None:
    run = save_teacher(tmp_path / "run", streets)
    with pytest.raises(SegkdError, match="give --data"):
        score_run(run, None, device="cpu")


def test_data_of_other_classes(streets: Path, tmp_path: Path) -> None:
    run = save_teacher(tmp_path / "run", streets)
    other = write_folder(tmp_path / "other")
    with pytest.raises(SegkdError, match=r"has 2 classes, the run 19, and they differ"):
        score_run(run, f"folder:{other}", device="cpu", save_predictions=tmp_path / "p")
    assert not (tmp_path / "p").exists()
