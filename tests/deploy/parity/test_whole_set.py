from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest

from segkd.data import Dataset, LabelSpace
from segkd.errors import SegkdError
from segkd.files import read_json, write_json
from segkd_deploy.artifact import open_artifact
from segkd_deploy.parity import Plan, validate_artifact
from segkd_deploy.parity.whole_set import WholeSet, size_words
from segkd_deploy.runners import Runner, open_runner
from tests.deploy.artifacts import HEIGHT_PX, NAMES, WIDTH_PX, make_graph
from tests.deploy.blocks import Blocks
from tests.deploy.parity import small


class Frames(Dataset):
    """The reference frames with the right labels as truth."""

    OPTIONS: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, folder: Path) -> None:
        self.labels = LabelSpace(tuple(small.NAMES), ((1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4)))
        self.path = folder
        self.frames, self.truth = (np.load(folder / f"reference/{name}.npy") for name in ("frames", "student"))
        self.ids = [str(index) for index in range(len(self.frames))]

    def image_path(self, index: int) -> Path:
        return self.path / self.ids[index]

    def mask_path(self, index: int) -> Path | None:
        return None

    def read_image(self, index: int) -> np.ndarray:
        return self.frames[index]

    def read_mask(self, index: int) -> np.ndarray:
        return self.truth[index]


def score(runner: Runner, dataset: Dataset, names: list[str], progress=lambda images: None) -> WholeSet:
    return WholeSet.score(runner, dataset, None, names, progress)


@pytest.mark.parametrize("batch", [1, 2])
def test_whole_set_at_its_own_size(tmp_path: Path, batch: int) -> None:
    onnx.save(make_graph(batch=batch), tmp_path / "graph.onnx")
    steps: list[int] = []
    with open_runner(tmp_path / "graph.onnx") as runner:
        whole = score(runner, Blocks(tmp_path), NAMES, steps.append)
    # Every second pixel doubled: the frame at the graph's size mixes equal pixels, so all labels are right but for
    # the row whose truth was moved by one class (without its ignored first column).
    assert whole.per_image.labelled.sum() == 5 * (2 * HEIGHT_PX) * (2 * WIDTH_PX - 1)
    assert (whole.per_image.labelled - whole.per_image.hits).sum() == 2 * WIDTH_PX - 1
    assert sum(steps) == 5 and whole.stretched == 0
    assert whole.scores.aacc == pytest.approx(1 - 1 / (5 * 2 * HEIGHT_PX))


def test_refuses_other_classes_and_plain_frames(pristine: Path, tmp_path: Path) -> None:
    dataset = Blocks(tmp_path)
    with open_runner(pristine / "model.fp32.onnx") as runner:
        with pytest.raises(SegkdError, match="classes are a, b; the data set has red, green, blue"):
            score(runner, dataset, ["a", "b"])
        dataset.labels = LabelSpace(("red",), ((0, 0, 0),))
        with pytest.raises(SegkdError, match="the data set has red"):
            score(runner, dataset, NAMES)
        dataset.has_masks = False
        with pytest.raises(SegkdError, match="no labels to evaluate against"):
            score(runner, dataset, NAMES)


def test_each_step_is_held_against_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkd_deploy.parity.compare.MIN_INTERVAL_IMAGES", 1)
    graphs = {"fp32": small.RIGHT, "int8": replace(small.RIGHT, quantised=(0.0, 10.0))}
    folder = small.make_artifact(tmp_path / "a", graphs)
    plan = Plan(dataset=Frames(folder), dataset_name="frames")
    parts = validate_artifact(open_artifact(folder), plan)["variants"]
    assert parts["fp32"]["whole_set"]["miou"] == 1.0 and "before" not in parts["fp32"]["whole_set"]
    whole = parts["int8"]["whole_set"]
    change = whole["before"]
    assert change["miou_delta"] == pytest.approx(whole["miou"] - 1.0) and change["miou_delta"] < 0
    assert change["interval"][0] <= change["miou_delta"] <= change["interval"][1]
    assert set(change["per_class_delta"]) == set(small.NAMES)
    assert change["per_class_delta"]["road"]["delta"] <= 0


def validated(folder: Path, miou: float | None = None, **plan: Any) -> dict[str, Any]:
    """Validate fp32 after the manifest was told what the run's own evaluation gave on the frames."""
    content = read_json(folder / "manifest.json")
    if miou is not None:
        own = {"miou": miou, "fingerprint": Frames(folder).fingerprint(), "protocol": "full, whole"}
        write_json(folder / "manifest.json", {**content, "evaluation": own})
    return validate_artifact(open_artifact(folder), Plan(pictures=None, **plan))


def test_the_run_s_own_evaluation_is_a_gate(tmp_path: Path) -> None:
    folder = small.make_artifact(tmp_path / "a", {"fp32": small.RIGHT})
    result = validated(folder, 0.985, dataset=Frames(folder), dataset_name="frames")
    part = result["variants"]["fp32"]
    assert part["whole_set"]["run"] == {"miou": 0.985, "protocol": "full, whole", "miou_delta": pytest.approx(0.015)}
    assert result["passed"] and "run_miou_delta" in {row["name"] for row in part["gates"]}
    assert "98.50 -> 100.00 (+1.50 points)" in size_words(part["whole_set"])[0]

    wrong = small.make_artifact(tmp_path / "b", {"fp32": small.RIGHT})
    frames = Frames(wrong)
    frames.truth = np.where(frames.truth == 0, 1, frames.truth).astype(np.uint8)
    part = validated(wrong, 0.99, dataset=frames, dataset_name="frames")["variants"]["fp32"]
    assert [row["name"] for row in part["gates"] if not row["passed"]] == ["run_miou_delta"]


def test_scores_of_other_data_are_not_compared(tmp_path: Path) -> None:
    folder = small.make_artifact(tmp_path / "a", {"fp32": small.RIGHT})
    content = read_json(folder / "manifest.json")
    other = {"miou": 1.0, "fingerprint": "another", "protocol": "full, whole"}
    write_json(folder / "manifest.json", {**content, "evaluation": other})
    part = validated(folder, dataset=Frames(folder))["variants"]["fp32"]
    assert part["whole_set"]["run"] is None and "run_miou_delta" not in {row["name"] for row in part["gates"]}


def test_images_of_other_proportions_are_counted(tmp_path: Path) -> None:
    folder = small.make_artifact(tmp_path / "a", {"fp32": small.RIGHT})
    tall = Frames(folder)
    tall.frames, tall.truth = (np.ascontiguousarray(part[:, :, :24]) for part in (tall.frames, tall.truth))
    whole = validated(folder, dataset=tall)["variants"]["fp32"]["whole_set"]
    assert (whole["stretched"], whole["images"], whole["frame_px"]) == (3, 3, [48, 64])
    (said,) = size_words(whole)
    assert said.startswith("3 of 3 images have other proportions than the frame of 48x64 and are stretched")
    same = validated(folder, dataset=Frames(folder))["variants"]["fp32"]["whole_set"]
    assert same["stretched"] == 0 and size_words(same) == []


def test_scores_stay_for_the_same_bytes_in_the_same_runtime(tmp_path: Path) -> None:
    folder = small.make_artifact(tmp_path / "a", {"fp32": small.RIGHT})
    first = validated(folder, dataset=Frames(folder), dataset_name="frames")
    again = validated(folder, earlier=first)
    assert again["variants"]["fp32"]["whole_set"] == first["variants"]["fp32"]["whole_set"]
    for damaged in (
        {**first, "artifact": {"manifest_sha256": "0" * 64}},
        {**first, "variants": {"fp32": {**first["variants"]["fp32"], "sha256": "0" * 64}}},
        {**first, "variants": {"fp32": {**first["variants"]["fp32"], "runtime": {"name": "tensorrt"}}}},
        {**first, "variants": 3},
    ):
        assert validated(folder, earlier=damaged)["variants"]["fp32"]["whole_set"] is None


def test_a_kept_score_fails_its_gate_again(tmp_path: Path) -> None:
    folder = small.make_artifact(tmp_path / "a", {"fp32": small.RIGHT})
    first = validated(folder, dataset=Frames(folder))
    first["variants"]["fp32"]["whole_set"]["run"] = {"miou": 0.9, "protocol": "full, whole", "miou_delta": -0.1}
    again = validated(folder, earlier=first, diagnose=False)
    assert not again["passed"]
