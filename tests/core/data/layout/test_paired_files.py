"""What the readers of published data sets share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkd.data.base import DataFileError, LabelSpace
from segkd.data.formats.value_map import ValueMap
from segkd.data.layout.paired_files import ClassPng, PairedFiles
from segkd.data.layout.pairing import Pairs
from segkd.errors import SegkdError
from tests.core.data.files import photo, save, strip


class Two(PairedFiles):
    """Two classes, one image."""

    def __init__(self, path: Path, *, split: str = "val") -> None:
        self.labels = LabelSpace(("a", "b"), ((0, 0, 0), (1, 1, 1)))
        pairs = Pairs(["x"], [path / "x.jpg"], [path / "x.png"], [])
        empty = Pairs([], [], [], [])
        reader = ClassPng(ValueMap({3: 0, 4: 1}), "files hold 3 and 4")
        self._set_files(empty if split == "none" else pairs, reader, f"no images for {split}")


def test_files_are_read_through_the_table(tmp_path) -> None:
    dataset = Two(tmp_path)
    image = photo(2, 2)
    save(tmp_path / "x.jpg", image)
    save(tmp_path / "x.png", strip([3, 4]))
    assert dataset.image_path(0) == tmp_path / "x.jpg"
    assert dataset.mask_path(0) == tmp_path / "x.png"
    np.testing.assert_array_equal(dataset.read(0).mask, strip([0, 1]))
    save(tmp_path / "x.png", strip([3, 5]))
    with pytest.raises(DataFileError, match=r"x\.png: undeclared value 5; files hold 3 and 4"):
        dataset.read_mask(0)


def test_without_masks(tmp_path) -> None:
    dataset = Two(tmp_path)
    dataset.has_masks = False
    assert dataset.mask_path(0) is None
    with pytest.raises(SegkdError, match=r"x\.jpg has no mask: the labels of this split are not public"):
        dataset.read_mask(0)


def test_nothing_at_all_is_an_error(tmp_path) -> None:
    with pytest.raises(SegkdError, match="no images for none"):
        Two(tmp_path, split="none")
