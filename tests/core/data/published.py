"""What every reader of a published data set must do, whatever its layout."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from segkd.data import open_dataset
from segkd.data.base import DataFileError
from segkd.data.check import check_dataset, open_splits
from segkd.errors import SegkdError
from tests.core.data.files import cut_short, photo, save, save_palette


class BasePublishedTester:
    """Subclasses say how a tree of two images per split is written, and what its label values mean.

    Attributes:
        name: of the data set.
        num_classes: of the default form.
        counts: images of the published splits.
        values: label value -> class index, of PNG masks; every value a file may hold.
        undeclared: a value that no file may hold.
    """

    name: ClassVar[str]
    num_classes: ClassVar[int]
    counts: ClassVar[dict[str, int]]
    values: ClassVar[dict[int, int]]
    undeclared: ClassVar[int]

    def tree(self, root: Path) -> Path:
        """Write two images for each split of ``counts``; all masks hold a valid value."""
        raise NotImplementedError

    @pytest.fixture
    def spec(self, tmp_path: Path) -> str:
        return f"{self.name}:{self.tree(tmp_path)}"

    def test_classes_counts_and_ids(self, spec: str) -> None:
        for split, count in self.counts.items():
            dataset = open_dataset(spec, split)
            assert len(dataset) == 2
            assert dataset.ids == sorted(dataset.ids)
            assert dataset.expected_count == count
            assert dataset.form
            assert dataset.labels.num_classes == self.num_classes == len(set(dataset.labels.names))
            assert len(dataset.labels.palette) == self.num_classes
            assert dataset.file_values is None or len(dataset.file_values) == self.num_classes

    def test_every_value_becomes_its_class_from_grey_and_palette_files(self, spec: str) -> None:
        dataset = open_dataset(spec)
        values = np.tile(np.array(list(self.values), np.uint8), (2, 1))
        save(dataset.image_path(0), photo(*values.shape))
        colours = [channel for index in range(256) for channel in (index // 2, 255 - index, 7)]
        write: list[Callable[[Path], Path]] = [
            lambda path: save(path, values),
            lambda path: save_palette(path, values, colours),
        ]
        for save_mask in write:
            path = dataset.mask_path(0)
            assert path is not None
            save_mask(path)
            sample = dataset.read(0)
            assert sample.mask.dtype == np.uint8
            np.testing.assert_array_equal(sample.mask, np.tile(list(self.values.values()), (2, 1)))

    def test_file_values_invert_the_table(self, spec: str) -> None:
        dataset = open_dataset(spec)
        if dataset.file_values is not None:
            assert [self.values[value] for value in dataset.file_values] == list(range(self.num_classes))

    def test_every_defect_is_named_with_its_file(self, spec: str) -> None:
        dataset = open_dataset(spec)
        image, mask = dataset.image_path(1), dataset.mask_path(0)
        assert mask is not None
        height, width = dataset.read_mask(0).shape
        cut_short(image)
        defects = {
            f"undeclared value {self.undeclared}; ": lambda: save(
                mask, np.full((height, width), self.undeclared, np.uint8)
            ),
            "a colour picture, expected": lambda: save(mask, photo(height, width)),
            "not a PNG file": lambda: mask.write_bytes(b"GIF89a"),
            "an empty file": lambda: mask.write_bytes(b""),
            f"mask is {height}x{width + 1} ": lambda: save(
                mask, np.full((height, width + 1), next(iter(self.values)), np.uint8)
            ),
        }
        for message, damage in defects.items():
            damage()
            first, second = check_dataset(dataset)
            assert first.path == mask
            assert first.what.startswith(message)
            assert second.path == image

    def test_a_missing_mask_and_a_missing_image_are_named(self, spec: str) -> None:
        dataset = open_dataset(spec)
        image, mask = dataset.image_path(0), dataset.mask_path(1)
        assert mask is not None
        image.unlink()
        mask.unlink()
        with pytest.raises(SegkdError, match="2 such files in all, `segkd data check"):
            open_dataset(spec)
        problems = open_dataset(spec, strict=False).problems
        text = " ".join(f"{problem.path} {problem.what}" for problem in problems)
        assert len(problems) == 2
        assert dataset.ids[0] in text
        assert dataset.ids[1] in text

    def test_letter_case_of_suffixes_and_hidden_files_do_not_matter(self, spec: str) -> None:
        dataset = open_dataset(spec)
        image, mask = dataset.image_path(0), dataset.mask_path(0)
        assert mask is not None
        (image.parent / f"._{image.name}").write_bytes(b"macOS")
        image.rename(image.with_suffix(image.suffix.upper()))
        mask.rename(mask.with_suffix(mask.suffix.upper()))
        again = open_dataset(spec)
        assert again.ids == dataset.ids
        assert again.read(0).image.shape[:2] == again.read(0).mask.shape

    def test_it_travels_between_processes(self, spec: str) -> None:
        dataset = open_dataset(spec)
        copy = pickle.loads(pickle.dumps(dataset))
        np.testing.assert_array_equal(copy.read(1).mask, dataset.read(1).mask)
        assert copy.fingerprint() == dataset.fingerprint()

    def test_unknown_splits_and_missing_folders(self, spec: str, tmp_path: Path) -> None:
        with pytest.raises(SegkdError, match=r"unknown split 'vall'|no folder .*vall"):
            open_dataset(spec, "vall")
        empty = tmp_path / "empty"
        empty.mkdir()
        with pytest.raises(SegkdError, match=r"no folders? .*empty"):
            open_dataset(f"{self.name}:{empty}")

    def test_all_published_splits_are_checked(self, spec: str) -> None:
        splits, problems = open_splits(spec, "all")
        assert list(splits) == list(self.counts)
        assert problems == []

    def test_wrong_masks_stop_reading(self, spec: str) -> None:
        dataset = open_dataset(spec)
        mask = dataset.mask_path(0)
        assert mask is not None
        save(mask, np.full(dataset.read_mask(0).shape, self.undeclared, np.uint8))
        with pytest.raises(DataFileError, match=mask.name):
            dataset.read(0)
