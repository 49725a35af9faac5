"""What the readers of published data sets share: one image file and one mask file per name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import IGNORE, Dataset, Sample
from segkd.data.formats.decode import read_class_values, read_rgb
from segkd.data.formats.value_map import ValueMap
from segkd.data.layout.pairing import Pairs
from segkd.errors import SegkdError

MaskReader = Callable[[Path], NDArray[np.uint8]]


class ClassPng:
    """Reads PNG files of class numbers.

    Args:
        values: what the numbers mean.
        advice: which numbers the files hold, for the error that names another.
    """

    def __init__(self, values: ValueMap, advice: str) -> None:
        self._values, self._advice = values, advice

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        """One file as uint8 class indices (height, width), 255 = ignore."""
        return self._values.apply(read_class_values(path), path, self._advice)


class PairedFiles(Dataset):
    """A data set of image and mask files; subclasses find them and call :meth:`_set_files`."""

    @abstractmethod
    def __init__(self, path: Path, *, split: str = "val") -> None: ...

    def _set_files(self, pairs: Pairs, read_mask: MaskReader, nothing: str) -> None:
        """Take the files.

        Args:
            pairs: names, files and what has no partner.
            read_mask: reads a mask file to class indices.
            nothing: the error where there are no files at all.

        Raises:
            SegkdError: if there are no files.
        """
        if not pairs.images and not pairs.problems:
            raise SegkdError(nothing)
        self.ids, self._images, self._masks, self.problems = pairs
        self._read_mask = read_mask

    def image_path(self, index: int) -> Path:
        """The file of an image."""
        return self._images[index]

    def mask_path(self, index: int) -> Path | None:
        """The file of a mask, or None where the split has none."""
        return self._masks[index] if self.has_masks else None

    def read_image(self, index: int) -> NDArray[np.uint8]:
        """One image as uint8 RGB (height, width, 3)."""
        return read_rgb(self._images[index])

    def read_mask(self, index: int) -> NDArray[np.uint8]:
        """One mask as uint8 class indices (height, width), 255 = ignore."""
        if not self.has_masks:
            raise SegkdError(f"{self._images[index]} has no mask: the labels of this split are not public")
        return self._read_mask(self._masks[index])


class BlankMasks(Dataset):
    """A split whose labels are not public, with masks of 255 alone: nothing in it is scored.

    Args:
        source: the split.
    """

    def __init__(self, source: Dataset) -> None:
        self._source = source
        self.labels = source.labels
        self.ids, self.problems, self.form = source.ids, source.problems, source.form

    def image_path(self, index: int) -> Path:
        """The file of an image."""
        return self._source.image_path(index)

    def mask_path(self, index: int) -> None:
        """None: there are no masks."""
        return None

    def read_image(self, index: int) -> NDArray[np.uint8]:
        """One image as uint8 RGB (height, width, 3)."""
        return self._source.read_image(index)

    def read_mask(self, index: int) -> NDArray[np.uint8]:
        """255 everywhere, in the size of the image."""
        return np.full(self.read_image(index).shape[:2], IGNORE, np.uint8)

    def read(self, index: int) -> Sample:
        """One image, read once, with a mask of 255."""
        image = self.read_image(index)
        return Sample(image, np.full(image.shape[:2], IGNORE, np.uint8), self.ids[index])
