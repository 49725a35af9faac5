from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkd.data.base import open_dataset
from segkd.errors import SegkdError
from segkd.evaluation.score import Job, score
from segkd.files import sha256_file
from segkd_distill.models.zoo import build_model
from segkd_distill.train import fit
from tests.distill.training import recipe_of, save_teacher, write_folder


@pytest.mark.parametrize("rules", [(), ("eval.mode=slide", "eval.crop=32x64", "eval.protocol=cirkd")])
def test_scores_are_those_of_the_run(rules: tuple[str, ...], streets: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    record = fit(recipe_of(streets, "train.iters=4", "eval.every=2", *rules), run, device="cpu")
    same: dict[str, object] = {"mode": "slide", "crop": (32, 64), "protocol": "cirkd"} if rules else {}
    result = score(Job(str(run), device="cpu", **same))  # type: ignore[arg-type]
    for key in ("miou", "macc", "aacc"):
        assert result[key] == pytest.approx(record["eval"][key], abs=1e-12)
    assert result["per_class"] == record["eval"]["per_class"]
    assert result["classes"] == list(record["eval"]["per_class"]) and result["images"] == 4
    assert result["data"] == f"cityscapes:{streets}" and result["fingerprint"] == record["data"]["fingerprints"]["val"]
    assert result["weights_sha256"] == sha256_file(run / "student.safetensors") and result["run"] == str(run)


def test_a_bad_validation_stops_a_run_before_it_begins(streets: Path, tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match=r"belong to eval\.mode slide"):
        fit(recipe_of(streets, "eval.crop=32x64"), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_weights_files_give_the_scores_of_their_run(streets: Path, tmp_path: Path) -> None:
    run = save_teacher(tmp_path / "run", streets, model="quickstart-mv2")
    data = f"cityscapes:{streets}"
    torch.save({"state_dict": build_model("quickstart-mv2", 19).state_dict(), "meta": {}}, tmp_path / "other.pth")
    of_run = score(Job(str(run), data, device="cpu"))
    file = str(run / "student.safetensors")
    of_file = score(Job(file, data, model="quickstart-mv2", device="cpu"))
    assert of_file["miou"] == of_run["miou"] and of_file["kind"] == "checkpoint"
    assert (of_file["checkpoint"], of_file["model"]) == (file, "quickstart-mv2")
    assert of_file["weights_sha256"] == of_run["weights_sha256"]
    other = score(Job(str(tmp_path / "other.pth"), data, model="quickstart-mv2", device="cpu"))
    assert other["miou"] != of_run["miou"]


def test_a_weights_file_of_another_network(streets: Path, tmp_path: Path) -> None:
    run = save_teacher(tmp_path / "run", streets, model="quickstart-mv2")
    file, data = str(run / "student.safetensors"), f"cityscapes:{streets}"
    with pytest.raises(SegkdError, match="another architecture"):
        score(Job(file, data, model="quickstart-r18", device="cpu"))
    with pytest.raises(SegkdError, match="did you mean 'quickstart-mv2'"):
        score(Job(file, data, model="quickstart-mv3", device="cpu"))
    with pytest.raises(SegkdError, match="is for weights files"):
        score(Job(str(run), data, model="quickstart-mv2", device="cpu"))


def test_another_split(streets: Path, tmp_path: Path) -> None:
    run = save_teacher(tmp_path / "run", streets)
    result = score(
        Job(str(run), f"cityscapes:{streets},frames=:3", "train", device="cpu", save_predictions=tmp_path / "p")
    )
    assert result["images"] == 3 and len(list((tmp_path / "p").glob("*_pred_labelIds.png"))) == 3


def test_saved_predictions_read_back_give_the_same_matrix(streets: Path, tmp_path: Path) -> None:
    from segkd.data.formats.decode import read_class_values
    from segkd.data.readers.cityscapes import label_id_map
    from segkd.metrics import ConfusionMatrix, scores

    run = save_teacher(tmp_path / "run", streets)
    result = score(Job(str(run), f"cityscapes:{streets}", device="cpu", save_predictions=tmp_path / "p"))
    data, matrix = open_dataset(f"cityscapes:{streets}", split="val"), ConfusionMatrix(19)
    for index, name in enumerate(data.ids):
        path = tmp_path / "p" / f"{name}_pred_labelIds.png"
        matrix.update(label_id_map().apply(read_class_values(path), path, ""), data.read_mask(index))
    assert scores(matrix.counts).miou == result["miou"]


def test_data_of_other_classes(streets: Path, tmp_path: Path) -> None:
    run = save_teacher(tmp_path / "run", streets)
    other = write_folder(tmp_path / "other")
    with pytest.raises(SegkdError, match=r"has 2 classes, the source 19, and they differ"):
        score(Job(str(run), f"folder:{other}", device="cpu", save_predictions=tmp_path / "p"))
    assert not (tmp_path / "p").exists()


def test_a_run_without_recipe_needs_data(streets: Path, tmp_path: Path) -> None:
    run = save_teacher(tmp_path / "run", streets)
    with pytest.raises(SegkdError, match="give --data"):
        score(Job(str(run), device="cpu"))
