"""COCO-Stuff: two releases, raw and converted files, 171 and 182 classes."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from segkd.data import open_dataset
from segkd.data.base import DataFileError
from segkd.data.check import check_dataset
from segkd.data.readers.coco_stuff import label_space
from segkd.errors import SegkdError
from tests.core.data.files import jpeg, save, save_list, save_mat, strip
from tests.core.data.published import BasePublishedTester

# Raw values of the 164k release that never occur.
ABSENT = [11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90]
RAW = [value for value in range(182) if value not in ABSENT]
LARGE = {"train": ["000000000009", "000000000025"], "val": ["000000000139", "000000000285"]}
SMALL = {
    "train": ["COCO_train2014_000000000077", "COCO_train2014_000000000149"],
    "test": ["COCO_train2014_000000000064"],
}


def large(root: Path, masks: str = "annotations", suffix: str = "") -> Path:
    for split, names in LARGE.items():
        for name in names:
            jpeg(root / f"images/{split}2017/{name}.jpg", 4)
            save(root / f"{masks}/{split}2017/{name}{suffix}.png", strip([0, 5, 100, 255]))
    return root


def small(root: Path) -> Path:
    for split, names in SMALL.items():
        for name in names:
            jpeg(root / f"images/{name}.jpg", 172)
            save_mat(root / f"annotations/{name}.mat", S=strip([0, *(value + 1 for value in RAW)], np.uint16), names=1)
        save_list(root / f"imageLists/{split}.txt", names)
    return root


class TestCocoStuff164k(BasePublishedTester):
    name = "coco_stuff"
    num_classes = 171
    counts: ClassVar = {"train": 118287, "val": 5000}
    values: ClassVar = {**{value: index for index, value in enumerate(RAW)}, 255: 255}
    undeclared = 11

    def tree(self, root: Path) -> Path:
        return large(root)


class TestCocoStuff164kConverted(BasePublishedTester):
    name = "coco_stuff"
    num_classes = 171
    counts: ClassVar = {"train": 118287, "val": 5000}
    values: ClassVar = {**{value: value for value in range(171)}, 255: 255}
    undeclared = 171

    def tree(self, root: Path) -> Path:
        return large(root, suffix="_labelTrainIds")

    def test_file_values_invert_the_table(self, spec: str) -> None:
        """They are the distributed values, whatever is read."""
        assert open_dataset(spec).file_values == tuple(RAW)


def test_names_follow_the_labels() -> None:
    labels = label_space("171")
    assert labels.num_classes == 171
    assert labels.names[:2] == ("person", "bicycle")
    # stop sign is raw 12, after the missing street sign.
    assert labels.names[RAW.index(12)] == "stop sign"
    assert labels.names[RAW.index(89)] == "toothbrush"
    assert labels.names[RAW.index(91)] == "banner"
    assert labels.names[-1] == "wood"
    assert len(set(labels.palette)) == 171
    everything = label_space("182")
    assert [everything.names[value] for value in ABSENT[:3]] == ["street sign", "hat", "shoe"]
    assert len(set(everything.names)) == 182


def test_182_classes_are_not_renumbered(tmp_path) -> None:
    dataset = open_dataset(f"coco_stuff:{large(tmp_path)},classes=182")
    save(dataset.mask_path(0), strip([0, 12, 181, 255]))
    np.testing.assert_array_equal(dataset.read(0).mask, strip([0, 12, 181, 255]))
    assert dataset.file_values == tuple(range(182))
    save(dataset.mask_path(0), strip([0, 11, 181, 255]))
    with pytest.raises(DataFileError, match="undeclared value 11; annotation files as distributed hold 0 to 181"):
        dataset.read(0)


def test_raw_files_win_over_converted_ones_beside_them(tmp_path) -> None:
    large(tmp_path)
    large(tmp_path, suffix="_labelTrainIds")
    for option, name in (("", "raw"), (",labels=raw", "raw"), (",labels=train_ids", "train_ids")):
        dataset = open_dataset(f"coco_stuff:{tmp_path}{option}")
        assert dataset.ids == LARGE["val"]
        assert ("distributed" in dataset.form) == (name == "raw")
        assert dataset.read_mask(0)[0].tolist() == ([0, 5, 89, 255] if name == "raw" else [0, 5, 100, 255])


def test_folders_as_the_archives_unpack(tmp_path) -> None:
    large(tmp_path, masks="stuffthingmaps")
    assert open_dataset(f"coco_stuff:{tmp_path}").ids == LARGE["val"]


def test_10k_as_distributed(tmp_path) -> None:
    small(tmp_path)
    for split, names, count in (
        ("train", SMALL["train"], 9000),
        ("val", SMALL["test"], 1000),
        ("test", SMALL["test"], 1000),
    ):
        dataset = open_dataset(f"coco_stuff:{tmp_path}", split)
        assert dataset.ids == names
        assert dataset.expected_count == count
        assert dataset.form == "COCO-Stuff 10k, annotation files as distributed (*.mat)"
        np.testing.assert_array_equal(dataset.read(0).mask, strip([255, *range(171)]))
        assert dataset.file_values == tuple(value + 1 for value in RAW)
        assert check_dataset(dataset) == []
    whole = open_dataset(f"coco_stuff:{tmp_path},classes=182").read_mask(0)
    np.testing.assert_array_equal(whole, strip([255, *RAW]))
    save_mat(tmp_path / f"annotations/{SMALL['test'][0]}.mat", S=strip([12] * 172))
    with pytest.raises(DataFileError, match=r"undeclared value 12; annotation files as distributed \(\*\.mat\) hold 0"):
        open_dataset(f"coco_stuff:{tmp_path}").read_mask(0)


def test_10k_as_open_mmlab_converts_it(tmp_path) -> None:
    for split in ("train", "test"):
        jpeg(tmp_path / f"images/{split}2014/COCO_1.jpg", 172)
        save(tmp_path / f"annotations/{split}2014/COCO_1_labelTrainIds.png", strip(range(172)))
    dataset = open_dataset(f"coco_stuff:{tmp_path}")
    assert dataset.form == "COCO-Stuff 10k, open-mmlab's *_labelTrainIds.png"
    np.testing.assert_array_equal(dataset.read(0).mask, strip([255, *range(171)]))


def test_partners_and_lists_of_10k(tmp_path) -> None:
    small(tmp_path)
    (tmp_path / f"annotations/{SMALL['train'][0]}.mat").unlink()
    (problem,) = open_dataset(f"coco_stuff:{tmp_path}", "train", strict=False).problems
    assert problem.path == tmp_path / "imageLists/train.txt"
    assert problem.what.endswith(f"there is no {tmp_path}/annotations/{SMALL['train'][0]}.mat")
    (tmp_path / "imageLists/train.txt").write_bytes(b"")
    with pytest.raises(SegkdError, match=r"train\.txt: an empty list"):
        open_dataset(f"coco_stuff:{tmp_path}", "train")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (",release=164", "unknown value of the COCO-Stuff option release '164'; did you mean '164k'"),
        (",classes=80", "unknown value of the COCO-Stuff option classes '80'"),
        (",labels=trainids", "option labels 'trainids'; did you mean 'train_ids'"),
        (",labels=train_ids", r"no \*_labelTrainIds\.png in .*annotations/val2017"),
        (",release=10k", r"imageLists/test\.txt: cannot be read"),
        (",split=test", "unknown split 'test'; known: train, val"),
    ],
)
def test_wrong_options(tmp_path, option, message) -> None:
    large(tmp_path)
    with pytest.raises(SegkdError, match=message):
        open_dataset(f"coco_stuff:{tmp_path}{option}")
