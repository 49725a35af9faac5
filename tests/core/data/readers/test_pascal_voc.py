"""PASCAL VOC 2012 and its training set enlarged by SBD."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from segkd.data import open_dataset
from segkd.data.base import DataFileError
from segkd.data.check import check_dataset
from segkd.data.readers.pascal_voc import LABEL_SPACE
from segkd.errors import SegkdError
from tests.core.data.files import jpeg, photo, save, save_list, save_mat, save_palette, strip
from tests.core.data.published import BasePublishedTester

TRAIN, VAL = ["2007_000032", "2008_000008"], ["2007_000033", "2009_000012"]
VALUES = [*range(21), 255]
# VOC's colours, as the development kit lists them.
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0] + [0] * 756


def voc(root: Path, end: str = "\n") -> Path:
    """VOC2012 as it is distributed: palette masks, and images that are in no list."""
    for name in [*TRAIN, *VAL]:
        jpeg(root / f"JPEGImages/{name}.jpg", len(VALUES))
        save_palette(root / f"SegmentationClass/{name}.png", strip(VALUES), PALETTE)
    jpeg(root / "JPEGImages/2012_004331.jpg", len(VALUES))
    lists = root / "ImageSets/Segmentation"
    save_list(lists / "train.txt", TRAIN, end)
    save_list(lists / "val.txt", VAL, end)
    save_list(lists / "trainval.txt", TRAIN + VAL, end)
    return root


def sbd(root: Path, folder: Path) -> Path:
    """SBD: masks without border for one image of VOC's train, one of its val and two others."""
    for name in (TRAIN[0], VAL[0], "2008_000002", "2009_000001"):
        jpeg(root / f"JPEGImages/{name}.jpg", len(VALUES))
        save_mat(folder / f"dataset/cls/{name}.mat", GTcls={"Segmentation": strip([*range(21), 7])})
    save_list(folder / "dataset/train.txt", [TRAIN[0], "2008_000002"])
    save_list(folder / "dataset/val.txt", [VAL[0], "2009_000001"])
    return folder


class TestPascalVoc(BasePublishedTester):
    name = "pascal_voc"
    num_classes = 21
    counts: ClassVar = {"train": 1464, "val": 1449}
    values: ClassVar = {value: value for value in VALUES}
    undeclared = 21

    def tree(self, root: Path) -> Path:
        return voc(root)


def test_classes_are_vocs() -> None:
    assert LABEL_SPACE.names[0] == "background"
    assert LABEL_SPACE.names[15] == "person"
    assert LABEL_SPACE.names[20] == "tvmonitor"
    assert LABEL_SPACE.palette[1] == (128, 0, 0)
    assert LABEL_SPACE.palette[20] == (0, 64, 128)


@pytest.mark.parametrize("below", ["", "VOC2012", "VOCdevkit/VOC2012"])
def test_folders_above_are_found_too(tmp_path, below) -> None:
    voc(tmp_path / below)
    assert open_dataset(f"pascal_voc:{tmp_path}").ids == VAL
    assert len(open_dataset(f"pascal_voc:{tmp_path}", "trainval")) == 4


def test_lists_with_windows_line_ends(tmp_path) -> None:
    voc(tmp_path, "\r\n")
    assert open_dataset(f"pascal_voc:{tmp_path}", "train").ids == TRAIN


@pytest.mark.parametrize(
    ("place", "option"),
    [
        ("benchmark_RELEASE", ""),
        ("VOCdevkit/benchmark_RELEASE", ""),
        ("VOCdevkit/VOCaug", ""),
        ("elsewhere/benchmark_RELEASE", ",sbd={root}/elsewhere"),
        ("elsewhere/sbd", ",sbd={root}/elsewhere/sbd"),
        ("elsewhere/sbd", ",sbd={root}/elsewhere/sbd/dataset"),
    ],
)
def test_trainaug_is_train_and_all_of_sbd_without_val(tmp_path, place, option) -> None:
    root = voc(tmp_path / "VOCdevkit/VOC2012")
    sbd(root, tmp_path / place)
    spec = f"pascal_voc:{tmp_path}{option.format(root=tmp_path)}"
    dataset = open_dataset(spec, "trainaug")
    assert dataset.ids == sorted([*TRAIN, "2008_000002", "2009_000001"])
    assert dataset.expected_count == 10582
    assert dataset.form == "masks: 2 SegmentationClass, 2 SBD cls/*.mat"
    # VOC's own mask has a border, SBD's has none.
    assert dataset.read(dataset.ids.index(TRAIN[0])).mask[0, 21] == 255
    np.testing.assert_array_equal(dataset.read(dataset.ids.index("2008_000002")).mask, strip([*range(21), 7]))
    assert open_dataset(f"{spec},train=trainaug", "train").ids == dataset.ids
    assert open_dataset(f"{spec},train=trainaug", "val").ids == VAL
    assert check_dataset(dataset) == []
    next((tmp_path / place).rglob("2009_000001.mat")).unlink()
    (problem,) = open_dataset(spec, "trainaug", strict=False).problems
    assert problem.what.startswith(
        f"lists 2009_000001, but there is no {root}/SegmentationClass/2009_000001.png and no "
    )


def test_the_conversion_of_open_mmlab(tmp_path) -> None:
    root = voc(tmp_path)
    jpeg(root / "JPEGImages/2008_000002.jpg", 2)
    save(root / "SegmentationClassAug/2008_000002.png", strip([3, 4]))
    save(root / f"SegmentationClassAug/{TRAIN[0]}.png", strip([9] * 22))
    save_list(root / "ImageSets/Segmentation/trainaug.txt", [*TRAIN, "2008_000002"])
    save_list(root / "ImageSets/Segmentation/aug.txt", ["2008_000002"])
    dataset = open_dataset(f"pascal_voc:{root}", "trainaug")
    assert dataset.form == "masks: 2 SegmentationClass, 1 SegmentationClassAug"
    np.testing.assert_array_equal(dataset.read(dataset.ids.index("2008_000002")).mask, strip([3, 4]))
    assert dataset.read(0).mask[0, 21] == 255
    assert open_dataset(f"pascal_voc:{root}", "aug").ids == ["2008_000002"]


def test_colour_masks_are_refused(tmp_path) -> None:
    root = voc(tmp_path)
    save(root / f"SegmentationClass/{VAL[0]}.png", photo(2, 22))
    with pytest.raises(DataFileError, match="a colour picture, expected a grey or palette PNG"):
        open_dataset(f"pascal_voc:{root}").read_mask(0)


def test_what_is_missing_is_named(tmp_path) -> None:
    root = voc(tmp_path)
    with pytest.raises(SegkdError, match=r"no .*trainaug\.txt and no benchmark_RELEASE/dataset/cls near .*sbd=PATH"):
        open_dataset(f"pascal_voc:{root}", "trainaug")
    with pytest.raises(SegkdError, match=r"sbd=/nowhere: no folder /nowhere/dataset/cls"):
        open_dataset(f"pascal_voc:{root},sbd=/nowhere", "trainaug")
    with pytest.raises(SegkdError, match=r"unknown split 'trainvall'; did you mean 'trainval'"):
        open_dataset(f"pascal_voc:{root}", "trainvall")
    with pytest.raises(SegkdError, match="unknown value of the PASCAL VOC option train 'aug'"):
        open_dataset(f"pascal_voc:{root},train=aug", "train")
    save_list(root / "ImageSets/Segmentation/val.txt", [*VAL, VAL[0], "2011_000001"])
    problems = [problem.what for problem in open_dataset(f"pascal_voc:{root}", strict=False).problems]
    assert problems[0] == f"lists {VAL[0]} twice; remove one line"
    assert problems[1] == f"lists 2011_000001, but there is no {root}/JPEGImages/2011_000001.jpg"
    assert problems[2] == f"lists 2011_000001, but there is no {root}/SegmentationClass/2011_000001.png"
    os.rename(root / "SegmentationClass", root / "Masks")
    with pytest.raises(SegkdError, match=r"no folder .*SegmentationClass; VOC2012 holds JPEGImages"):
        open_dataset(f"pascal_voc:{root}")


def test_a_damaged_sbd_file_is_named(tmp_path) -> None:
    root = voc(tmp_path / "VOC2012")
    folder = sbd(root, tmp_path / "benchmark_RELEASE") / "dataset/cls"
    save_mat(folder / "2009_000001.mat", GTcls={"Segmentation": strip([21])})
    (folder / "2008_000002.mat").write_bytes((folder / "2008_000002.mat").read_bytes()[:150])
    first, second = check_dataset(open_dataset(f"pascal_voc:{tmp_path}", "trainaug"))
    assert first.path == folder / "2008_000002.mat"
    assert first.what.startswith("not a MATLAB file, or a damaged one")
    assert second.path == folder / "2009_000001.mat"
    assert second.what == "undeclared value 21; VOC masks hold 0 to 20 and 255"
