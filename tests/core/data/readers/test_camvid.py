"""CamVid: SegNet's grey files and the original colours."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from segkd.data import open_dataset
from segkd.data.base import DataFileError
from segkd.data.readers.camvid import LABEL_SPACES, colour_indices
from segkd.data.readers.labels.camvid import COLOURS, GROUPS
from segkd.errors import SegkdError
from tests.core.data.files import photo, save, save_list, strip
from tests.core.data.published import BasePublishedTester

NAMES = ["0001TP_006690", "Seq05VD_f05100"]
SPLITS = ("train", "val", "test")


def segnet(root: Path) -> Path:
    for split in SPLITS:
        for name in NAMES:
            save(root / f"{split}/{name}.png", photo(2, 12))
            save(root / f"{split}annot/{name}.png", strip(range(12)))
        save_list(
            root / f"{split}.txt",
            [f"/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png" for name in NAMES],
        )
    return root


def colour_row() -> np.ndarray:
    """All 32 colours, twice."""
    return np.tile(np.array(list(COLOURS.values()), np.uint8), (2, 1, 1))


def stills(root: Path) -> Path:
    """The original: 701 stills in one folder."""
    for name in NAMES:
        save(root / f"701_StillsRaw_full/{name}.png", photo(2, 32))
        save(root / f"LabeledApproved_full/{name}_L.png", colour_row())
    return root


class TestCamVid(BasePublishedTester):
    name = "camvid"
    num_classes = 11
    counts: ClassVar = {"train": 367, "val": 101, "test": 233}
    values: ClassVar = {**{value: value for value in range(11)}, 11: 255, 255: 255}
    undeclared = 12

    def tree(self, root: Path) -> Path:
        return segnet(root)


def test_the_eleven_classes_in_segnets_order() -> None:
    assert LABEL_SPACES["11"].names == (
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    )
    assert LABEL_SPACES["12"].names[11] == "void"
    assert len(LABEL_SPACES["32"].names) == 32
    assert len(set(COLOURS.values())) == 32
    members = [member for group in GROUPS for member in group.members]
    assert sorted([*members, "Void"]) == sorted(COLOURS)


def test_void_may_be_a_class(tmp_path) -> None:
    dataset = open_dataset(f"camvid:{segnet(tmp_path)},classes=12")
    assert dataset.labels.num_classes == 12
    np.testing.assert_array_equal(dataset.read(0).mask, strip(range(12)))


def test_original_colours_in_split_folders(tmp_path) -> None:
    for split in SPLITS:
        save(tmp_path / f"{split}/{NAMES[0]}.png", photo(2, 32))
        save(tmp_path / f"{split}_labels/{NAMES[0]}_L.png", colour_row())
    dataset = open_dataset(f"camvid:{tmp_path}")
    assert dataset.form == "original colours in split folders"
    assert dataset.ids == [NAMES[0]]
    groups = [next((i for i, g in enumerate(GROUPS) if name in g.members), 255) for name in COLOURS]
    np.testing.assert_array_equal(dataset.read(0).mask, strip(groups))
    whole = open_dataset(f"camvid:{tmp_path},classes=32")
    np.testing.assert_array_equal(whole.read(0).mask, strip(range(32)))
    assert whole.labels.names[whole.read_mask(0)[0, 17]] == "Road"


def test_the_original_stills_have_splits_only_by_lists(tmp_path) -> None:
    stills(tmp_path)
    dataset = open_dataset(f"camvid:{tmp_path}", "all")
    assert dataset.ids == NAMES
    assert dataset.expected_count == 701
    assert dataset.read(0).mask.shape == (2, 32)
    with pytest.raises(SegkdError, match=r"no .*train\.txt; the original CamVid has no splits: list the names there"):
        open_dataset(f"camvid:{tmp_path}", "train")
    save_list(tmp_path / "train.txt", [f"{NAMES[1]}.png"])
    assert open_dataset(f"camvid:{tmp_path}", "train").ids == [NAMES[1]]


def test_void_colour_by_number_of_classes() -> None:
    assert colour_indices("11")[0, 0, 0] == 255
    assert colour_indices("12")[0, 0, 0] == 11
    assert colour_indices("32")[0, 0, 0] == list(COLOURS).index("Void")
    assert len(colour_indices("11")) == 32


def test_wrong_files_and_options(tmp_path) -> None:
    stills(tmp_path)
    dataset = open_dataset(f"camvid:{tmp_path}", "all")
    save(dataset.mask_path(0), np.full((2, 32, 3), 5, np.uint8))
    with pytest.raises(DataFileError, match=r"undeclared colour \(5, 5, 5\); CamVid's label files hold the 32 colours"):
        dataset.read_mask(0)
    save(dataset.mask_path(0), strip(range(32)))
    with pytest.raises(DataFileError, match="no colour picture; CamVid's original label files hold 32 RGB colours"):
        dataset.read_mask(0)
    segnet(tmp_path / "CamVid")
    with pytest.raises(SegkdError, match="SegNet's files, which hold 11 classes and void; use classes=11 or 12"):
        open_dataset(f"camvid:{tmp_path},classes=32")
    with pytest.raises(SegkdError, match="unknown value of the CamVid option classes '13'"):
        open_dataset(f"camvid:{tmp_path},classes=13")
