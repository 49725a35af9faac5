from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from segkd.data import Dataset, LabelSpace
from segkd_deploy.artifact import open_artifact
from segkd_deploy.parity import Plan, validate_artifact
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


def test_each_step_is_held_against_the_one_before(tmp_path: Path) -> None:
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
