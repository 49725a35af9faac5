"""Small data sets stay decoded in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Dataset

BUDGET_BYTES = 512 * 2**20
"""Memory that decoded samples may take in all processes of a run together."""


class InMemory(Dataset):
    """A data set whose samples are decoded once per process.

    Whoever reads must not write into the arrays.
    """

    def __init__(self, source: Dataset) -> None:
        self._source = source
        self.labels, self.ids, self.has_masks = source.labels, source.ids, source.has_masks
        self._images: dict[int, NDArray[np.uint8]] = {}
        self._masks: dict[int, NDArray[np.uint8]] = {}

    def image_path(self, index: int) -> Path:
        """The file of an image."""
        return self._source.image_path(index)

    def mask_path(self, index: int) -> Path | None:
        """The file of a mask."""
        return self._source.mask_path(index)

    def read_image(self, index: int) -> NDArray[np.uint8]:
        """One image, from memory from the second time on."""
        if index not in self._images:
            self._images[index] = self._source.read_image(index)
        return self._images[index]

    def read_mask(self, index: int) -> NDArray[np.uint8]:
        """One mask, from memory from the second time on."""
        if index not in self._masks:
            self._masks[index] = self._source.read_mask(index)
        return self._masks[index]


def in_memory_if_small(
    dataset: Dataset,
    *,
    processes: int = 1,
    budget_bytes: int = BUDGET_BYTES,
    image_px: tuple[int, int] | None = None,
) -> Dataset:
    """The data set kept in memory if it fits into the budget of each process, else the data set itself.

    Args:
        dataset: the data set.
        processes: how many processes will read, each keeping its own copy.
        budget_bytes: for all processes together.
        image_px: height and width that stand for all images; by default those of the first one.
    """
    height, width = image_px or dataset.read_image(0).shape[:2]
    needed_bytes = len(dataset) * height * width * 4  # 3 bytes of colour, 1 of label
    return InMemory(dataset) if needed_bytes * max(1, processes) <= budget_bytes else dataset
