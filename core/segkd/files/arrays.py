"""NumPy's ``.npy`` files of others: arrays of numbers, whole, and nothing else."""

from __future__ import annotations

import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError
from segkd.files.small_files import one_line, open_regular

# What numpy raises for headers that are no Python or promise too much, and for files that are cut short or empty.
_DAMAGED = (
    *(OSError, ValueError, EOFError, OverflowError, SyntaxError, TypeError, MemoryError, RecursionError),
    tokenize.TokenError,
)


def map_array(path: Path) -> NDArray[Any]:
    """An ``.npy`` file, mapped for reading: a header that promises too much takes no memory.

    Raises:
        SegkdError: naming the file, if it is missing, no regular file, holds objects, is cut short or no array.
    """
    open_regular(path).close()
    try:
        mapped: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except _DAMAGED as error:
        raise SegkdError(f"{path}: is no array of numbers ({one_line(error, 120)}); export it again") from error
    if mapped.dtype.hasobject:
        raise SegkdError(f"{path}: is no array of numbers (it holds objects); export it again")
    return mapped


def array_bytes(path: Path) -> int | None:
    """The size that an ``.npy`` file must have by its own header; None if that is no header of numbers."""
    try:
        mapped = map_array(path)
    except SegkdError:
        return None
    return int(getattr(mapped, "offset", 0)) + mapped.nbytes
