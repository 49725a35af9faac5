"""Label maps in MATLAB files, read with scipy (the extra ``data``)."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import DataFileError
from segkd.data.formats.decode import DamagedFileError, file_bytes
from segkd.errors import import_extra


class Lookup(Protocol):
    """A table from file values to class indices (:mod:`segkd.data.formats.value_map`)."""

    def apply(self, values: NDArray[Any], path: Path, advice: str) -> NDArray[np.uint8]:
        """Look every pixel up."""


class ClassMat:
    """Reads MATLAB files of class numbers.

    Args:
        keys: the variable that holds the label map, then the fields to follow inside it.
        values: what the numbers mean.
        advice: which numbers the files hold, for the error that names another.
    """

    def __init__(self, keys: tuple[str, ...], values: Lookup, advice: str) -> None:
        self._keys, self._values, self._advice = keys, values, advice

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        """One file as uint8 class indices (height, width), 255 = ignore."""
        return self._values.apply(read_label_map(path, self._keys), path, self._advice)


def read_label_map(path: Path, keys: tuple[str, ...]) -> NDArray[Any]:
    """The label map in a MATLAB file (version 4 to 7.2).

    Args:
        path: the file.
        keys: the variable, then the fields of the structure inside it: ``("GTcls", "Segmentation")``.

    Returns:
        Whole numbers of 0 and more, (height, width), C order.

    Raises:
        DamagedFileError: if the file is missing, damaged or cut short.
        DataFileError: if it has no such variable, or that is no map of whole numbers.
        MissingExtra: if scipy is not installed.
    """
    loadmat: Callable[..., dict[str, Any]] = import_extra("scipy.io", "data").loadmat
    data = file_bytes(path)
    try:
        found: Any = loadmat(io.BytesIO(data), variable_names=[keys[0]])
    except NotImplementedError:
        raise DataFileError(path, "a MATLAB 7.3 file (HDF5); save it with -v7") from None
    except Exception as error:
        # scipy lets through whatever its parser stumbles over: OSError, ValueError, TypeError, zlib.error, ...
        raise DamagedFileError(path, f"not a MATLAB file, or a damaged one ({error}); copy it again") from None
    for key in keys:
        found = _child(path, found, key)
    if not isinstance(found, np.ndarray) or found.ndim != 2 or not found.size:
        raise DataFileError(path, f"{'.'.join(keys)} is no label map of height x width")
    return _whole_numbers(path, found, ".".join(keys))


def _child(path: Path, parent: Any, key: str) -> Any:
    """A variable of a file, or a field of a 1 x 1 structure."""
    if isinstance(parent, dict) and key in parent:
        return parent[key]
    if isinstance(parent, np.ndarray) and parent.size == 1 and key in (parent.dtype.names or ()):
        return parent[key].flat[0]
    raise DataFileError(path, f"holds no {key}; is it another data set's file?")


def _whole_numbers(path: Path, values: NDArray[Any], name: str) -> NDArray[Any]:
    if values.dtype.kind == "f" and (values == np.floor(values)).all() and values.max() < 2**16:
        values = values.astype(np.int32)
    if values.dtype.kind not in "iub" or values.min() < 0:
        raise DataFileError(path, f"{name} is no map of whole numbers from 0 ({values.dtype})")
    return np.ascontiguousarray(values)
