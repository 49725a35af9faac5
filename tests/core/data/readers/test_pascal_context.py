"""PASCAL Context: converted PNGs, the JSON of PASCAL in Detail, and the first release's MATLAB files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from segkd.data import open_dataset
from segkd.data.base import DataFileError
from segkd.data.check import check_dataset
from segkd.data.readers.pascal_context import LABEL_SPACES
from segkd.errors import SegkdError
from tests.core.data.files import jpeg, save, save_list, save_mat, strip
from tests.core.data.published import BasePublishedTester

NAMES = {"train": ["2008_000002", "2008_000003"], "val": ["2008_000009", "2010_000001"]}

# The 60 numbers as the first converters list them; the position in ascending order is the class.
NUMBERS = [0, 2, 259, 260, 415, 324, 9, 258, 144, 18, 19, 22, 23, 397, 25, 284, 158, 159, 416, 33]
NUMBERS += [162, 420, 454, 295, 296, 427, 44, 45, 46, 308, 59, 440, 445, 31, 232, 65, 354, 424, 68, 326]
NUMBERS += [72, 458, 34, 207, 80, 355, 85, 347, 220, 349, 360, 98, 187, 104, 105, 366, 189, 368, 113, 115]


def images(root: Path, lists: str = "SegmentationContext") -> Path:
    for split, names in NAMES.items():
        for name in names:
            jpeg(root / f"JPEGImages/{name}.jpg", 460)
        save_list(root / f"ImageSets/{lists}/{split}.txt", names)
    return root


def pngs(root: Path) -> Path:
    for name in NAMES["train"] + NAMES["val"]:
        save(root / f"SegmentationClassContext/{name}.png", np.full((2, 460), 4, np.uint8))
    return images(root)


def mats(root: Path) -> Path:
    for name in NAMES["train"] + NAMES["val"]:
        save_mat(root / f"trainval/{name}.mat", LabelMap=strip(range(460), np.uint16))
    return images(root, "Main")


def detail(root: Path, parts: list[dict[str, object]]) -> Path:
    """trainval_merged.json with some annotations of the image 2008_000009."""
    listed = [
        {"image_id": int(name.replace("_", "")), "file_name": f"{name}.jpg", "phase": split, "height": 2, "width": 460}
        for split, names in NAMES.items()
        for name in names
    ]
    annotations = [{"image_id": 2008000009, **part} for part in parts]
    path = images(root) / "trainval_merged.json"
    path.write_text(json.dumps({"images": listed, "annos_segmentation": annotations, "categories": []}))
    return root


class TestPascalContext(BasePublishedTester):
    name = "pascal_context"
    num_classes = 59
    counts: ClassVar = {"train": 4998, "val": 5105}
    values: ClassVar = {0: 255, **{value: value - 1 for value in range(1, 60)}, 255: 255}
    undeclared = 60

    def tree(self, root: Path) -> Path:
        return pngs(root)


def expected(classes: str) -> np.ndarray:
    """Numbers 0..459 as classes."""
    ascending = sorted(NUMBERS)
    index = [ascending.index(number) if number in ascending else 0 for number in range(460)]
    return np.array([255 if i == 0 else i - 1 for i in index] if classes == "59" else index)


def test_names_are_in_alphabetical_order_and_so_are_the_numbers() -> None:
    names = LABEL_SPACES["59"].names
    assert list(names) == sorted(names)
    assert names[:3] == ("aeroplane", "bag", "bed")
    assert names[-1] == "wood"
    assert LABEL_SPACES["60"].names == ("background", *names)
    assert LABEL_SPACES["60"].palette[1:] == LABEL_SPACES["59"].palette


def test_with_60_classes_the_background_is_one(tmp_path) -> None:
    pngs(tmp_path)
    save(tmp_path / "SegmentationClassContext/2008_000009.png", strip([0, 1, 59, 255]))
    for classes, mask in (("59", [255, 0, 58, 255]), ("60", [0, 1, 59, 255])):
        dataset = open_dataset(f"pascal_context:{tmp_path},classes={classes}")
        assert dataset.labels.num_classes == int(classes)
        np.testing.assert_array_equal(dataset.read_mask(0), strip(mask))
        assert dataset.file_values == tuple(range(60 - int(classes), 60))


@pytest.mark.parametrize("classes", ["59", "60"])
def test_matlab_files_of_459_numbers(tmp_path, classes) -> None:
    mats(tmp_path)
    dataset = open_dataset(f"pascal_context:{tmp_path},classes={classes}")
    assert dataset.form == "trainval/*.mat (459 numbers, as first distributed)"
    assert dataset.ids == NAMES["val"]
    np.testing.assert_array_equal(dataset.read(1).mask[0], expected(classes))
    save_mat(tmp_path / "trainval/2010_000001.mat", LabelMap=strip([460], np.uint16))
    with pytest.raises(DataFileError, match=r"2010_000001\.mat: undeclared value 460; the full annotation numbers"):
        dataset.read_mask(1)


def test_the_json_of_pascal_in_detail(tmp_path) -> None:
    # Runs of zeros and ones, column by column: columns 0..1, one pixel, and a later annotation over the second column.
    parts: list[dict[str, object]] = [
        {"category_id": 284, "segmentation": {"size": [2, 460], "counts": [0, 4, 916]}},
        {"category_id": 2, "segmentation": {"size": [2, 460], "counts": [2, 2, 916]}},
        {"category_id": 458, "segmentation": {"size": [2, 460], "counts": [919, 1]}},
    ]
    dataset = open_dataset(f"pascal_context:{detail(tmp_path, parts)},classes=60")
    assert dataset.form == "trainval_merged.json (PASCAL in Detail)"
    assert dataset.ids == NAMES["val"]
    names = ("background", *LABEL_SPACES["59"].names)
    mask = np.zeros((2, 460), np.uint8)
    mask[:, 0], mask[:, 1], mask[1, 459] = names.index("person"), names.index("aeroplane"), names.index("wood")
    np.testing.assert_array_equal(dataset.read(0).mask, mask)
    assert (dataset.read(1).mask == 0).all()
    assert open_dataset(f"pascal_context:{tmp_path}", "train").ids == NAMES["train"]


def test_annotations_that_do_not_fit_are_named(tmp_path) -> None:
    bad: list[dict[str, object]] = [{"category_id": 7, "segmentation": {"size": [2, 460], "counts": [1, 1]}}]
    (problem,) = check_dataset(open_dataset(f"pascal_context:{detail(tmp_path, bad)}"))
    assert problem.path == tmp_path / "trainval_merged.json"
    assert problem.what == "image 2008_000009: category 7: run lengths of 2 pixels, expected 2x460"
    wide: list[dict[str, object]] = [{"category_id": 500, "segmentation": {"counts": [0, 920]}}]
    (problem,) = check_dataset(open_dataset(f"pascal_context:{detail(tmp_path, wide)}"))
    assert problem.what == "undeclared value 500; image 2008_000009: the full annotation numbers its classes 0 to 459"
    (tmp_path / "trainval_merged.json").write_text('{"images": []}')
    with pytest.raises(SegkdError, match=r"trainval_merged.json: not trainval_merged.json of PASCAL in Detail"):
        open_dataset(f"pascal_context:{tmp_path}")


def test_which_annotations_are_read_is_detected_or_chosen(tmp_path) -> None:
    mats(tmp_path)
    detail(tmp_path, [])
    assert "json" in open_dataset(f"pascal_context:{tmp_path}").form
    pngs(tmp_path)
    assert "converted by open-mmlab" in open_dataset(f"pascal_context:{tmp_path}").form
    assert "459" in open_dataset(f"pascal_context:{tmp_path},labels=mat").form
    with pytest.raises(
        SegkdError, match="unknown value of the PASCAL Context option labels 'pngs'; did you mean 'png'"
    ):
        open_dataset(f"pascal_context:{tmp_path},labels=pngs")
    with pytest.raises(SegkdError, match="unknown value of the PASCAL Context option classes '33'"):
        open_dataset(f"pascal_context:{tmp_path},classes=33")


def test_what_is_missing_is_named(tmp_path) -> None:
    images(tmp_path)
    with pytest.raises(SegkdError, match=r"no SegmentationClassContext or trainval_merged.json or trainval/\*\.mat"):
        open_dataset(f"pascal_context:{tmp_path}")
    pngs(tmp_path)
    (tmp_path / "ImageSets/SegmentationContext/val.txt").unlink()
    with pytest.raises(SegkdError, match=r"no .*SegmentationContext/val.txt and no .*Main/val.txt; one of them lists"):
        open_dataset(f"pascal_context:{tmp_path}")


@pytest.mark.parametrize("below", ["VOC2010", "VOCdevkit/VOC2010"])
def test_folders_above_are_found_too(tmp_path, below) -> None:
    pngs(tmp_path / below)
    assert open_dataset(f"pascal_context:{tmp_path}").ids == NAMES["val"]
