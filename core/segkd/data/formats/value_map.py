"""From the numbers or colours in label files to class indices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.data.base import IGNORE, DataFileError

Colour = tuple[int, int, int]
_UNDECLARED = 256


class UndeclaredError(DataFileError):
    """A label file holds values or colours that its data set does not have.

    Args:
        path: the file.
        noun: ``value`` or ``colour``.
        pixels: how many pixels have each of them.
        advice: what to do about them.
    """

    def __init__(self, path: Path, noun: str, pixels: Mapping[str, int], advice: str) -> None:
        super().__init__(path, f"undeclared {noun}{'s' * (len(pixels) > 1)} {_shortened(list(pixels))}; {advice}")
        self.noun, self.pixels, self.advice = noun, dict(pixels), advice


class ValueMap:
    """A 256-entry table from file values to class indices.

    Args:
        classes: file value -> class index, or 255 for values without a class. All others are undeclared.
    """

    def __init__(self, classes: Mapping[int, int]) -> None:
        self._table = np.full(256, IGNORE, np.uint8)
        self._undeclared = np.ones(256, np.uint8)
        for value, index in classes.items():
            self._table[value] = index
            self._undeclared[value] = 0

    def apply(self, values: NDArray[np.uint8], path: Path, advice: str) -> NDArray[np.uint8]:
        """Look every pixel up.

        Args:
            values: uint8 file values, (height, width).
            path: their file, for the error.
            advice: what to do about an undeclared value, for the error.

        Returns:
            uint8 class indices, 255 = ignore, (height, width).

        Raises:
            DataFileError: naming the undeclared values.
        """
        if self._undeclared.any() and cv2.LUT(values, self._undeclared).any():
            counts = np.bincount(values.ravel(), minlength=256) * self._undeclared
            raise UndeclaredError(path, "value", {str(v): int(counts[v]) for v in np.flatnonzero(counts)}, advice)
        indices: NDArray[np.uint8] = cv2.LUT(values, self._table)
        return indices


class WideValueMap:
    """A table from file values above 255, or of another type than uint8, to class indices.

    Args:
        classes: file value -> class index, or 255 for values without a class. All others are undeclared.
    """

    def __init__(self, classes: Mapping[int, int]) -> None:
        self._bytes = ValueMap({value: index for value, index in classes.items() if value < 256})
        # The last entry stands for all larger values.
        self._table = np.full(max(classes) + 2, _UNDECLARED, np.uint16)
        self._table[list(classes)] = list(classes.values())

    def apply(self, values: NDArray[Any], path: Path, advice: str) -> NDArray[np.uint8]:
        """Look every pixel up.

        Args:
            values: whole numbers from 0, (height, width).
            path: their file, for the error.
            advice: what to do about an undeclared value, for the error.

        Returns:
            uint8 class indices, 255 = ignore, (height, width).

        Raises:
            DataFileError: naming the undeclared values.
        """
        if values.dtype == np.uint8:
            return self._bytes.apply(values, path, advice)
        indices = self._table[np.minimum(values.astype(np.int64), len(self._table) - 1)]
        undeclared = indices == _UNDECLARED
        if undeclared.any():
            found, counts = np.unique(values[undeclared], return_counts=True)
            pixels = dict(zip([str(v) for v in found.tolist()], counts.tolist(), strict=True))
            raise UndeclaredError(path, "value", pixels, advice)
        return indices.astype(np.uint8)


class ColourMap:
    """A table from RGB colours to class indices.

    Args:
        classes: RGB colour -> class index, or 255 for colours without a class. All others are undeclared.
    """

    def __init__(self, classes: Mapping[Colour, int]) -> None:
        self._classes = dict(classes)
        self._table: NDArray[np.uint16] | None = None

    def apply(self, colours: NDArray[np.uint8], path: Path, advice: str) -> NDArray[np.uint8]:
        """Look every pixel up.

        Args:
            colours: uint8 RGB, (height, width, 3).
            path: their file, for the error.
            advice: what to do about an undeclared colour, for the error.

        Returns:
            uint8 class indices, 255 = ignore, (height, width).

        Raises:
            DataFileError: naming the undeclared colours.
        """
        codes = _codes(colours)
        indices = self._filled_table()[codes]
        undeclared = indices == _UNDECLARED
        if undeclared.any():
            found, counts = np.unique(codes[undeclared], return_counts=True)
            names = [f"({c >> 16}, {c >> 8 & 255}, {c & 255})" for c in found.tolist()]
            raise UndeclaredError(path, "colour", dict(zip(names, counts.tolist(), strict=True)), advice)
        return indices.astype(np.uint8)

    def _filled_table(self) -> NDArray[np.uint16]:
        """One entry per colour (32 MiB), made when the first colour file is read."""
        if self._table is None:
            self._table = np.full(2**24, _UNDECLARED, np.uint16)
            colours = np.array(list(self._classes), np.uint8).reshape(-1, 3)
            self._table[_codes(colours)] = list(self._classes.values())
        return self._table

    def __getstate__(self) -> dict[str, object]:
        """The table stays behind when the data set is sent to another process."""
        return {**self.__dict__, "_table": None}


def _codes(colours: NDArray[np.uint8]) -> NDArray[np.uint32]:
    red, green, blue = (colours[..., channel].astype(np.uint32) for channel in range(3))
    return np.asarray((red << 16) | (green << 8) | blue, np.uint32)


def _shortened(found: list[str], most: int = 5) -> str:
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
