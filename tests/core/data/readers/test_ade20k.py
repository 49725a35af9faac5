"""ADE20K scene parsing: values, folders, and its larger namesake."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from segkd.data import open_dataset
from segkd.data.readers.ade20k import LABEL_SPACE
from segkd.errors import SegkdError
from tests.core.data.files import jpeg, save
from tests.core.data.published import BasePublishedTester


def tree(root: Path) -> Path:
    for folder, short in (("training", "train"), ("validation", "val")):
        for number in (1, 2):
            name = f"ADE_{short}_{number:08d}"
            jpeg(root / "images" / folder / f"{name}.jpg", 4)
            save(root / "annotations" / folder / f"{name}.png", np.full((2, 4), number, np.uint8))
    return root


class TestAde20k(BasePublishedTester):
    name = "ade20k"
    num_classes = 150
    counts: ClassVar = {"train": 20210, "val": 2000}
    values: ClassVar = {0: 255, **{value: value - 1 for value in range(1, 151)}, 255: 255}
    undeclared = 151

    def tree(self, root: Path) -> Path:
        return tree(root)


def test_names_and_colours_are_the_benchmarks() -> None:
    assert LABEL_SPACE.names[:4] == ("wall", "building", "sky", "floor")
    assert LABEL_SPACE.names[6:8] == ("road", "bed")
    assert LABEL_SPACE.names[-2:] == ("clock", "flag")
    assert LABEL_SPACE.palette[0] == (120, 120, 120)
    assert LABEL_SPACE.palette[2] == (6, 230, 230)
    assert LABEL_SPACE.palette[149] == (92, 0, 255)


def test_the_folder_above_is_found_too(tmp_path) -> None:
    tree(tmp_path / "ADEChallengeData2016")
    dataset = open_dataset(f"ade20k:{tmp_path}")
    assert dataset.ids == ["ADE_val_00000001", "ADE_val_00000002"]
    assert dataset.image_path(0).parent == tmp_path / "ADEChallengeData2016/images/validation"


def test_grey_and_cmyk_photographs_become_rgb(tmp_path) -> None:
    dataset = open_dataset(f"ade20k:{tree(tmp_path)}")
    Image.fromarray(np.full((2, 4), 90, np.uint8)).save(dataset.image_path(0))
    Image.fromarray(np.full((2, 4, 3), 90, np.uint8)).convert("CMYK").save(dataset.image_path(1))
    for index in (0, 1):
        image = dataset.read_image(index)
        assert image.shape == (2, 4, 3)
        assert np.abs(image.astype(int) - 90).max() <= 3


def test_the_full_release_is_recognised(tmp_path) -> None:
    (tmp_path / "images/ADE/training").mkdir(parents=True)
    with pytest.raises(SegkdError, match=r"the full ADE20K release; the 150 classes are in ADEChallengeData2016\.zip"):
        open_dataset(f"ade20k:{tmp_path}")


def test_labels_of_the_test_split_are_not_public(tmp_path) -> None:
    with pytest.raises(SegkdError, match="unknown split 'test'"):
        open_dataset(f"ade20k:{tree(tmp_path)}", "test")
