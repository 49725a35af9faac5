"""Files to pixels. Nothing is repaired or guessed: a file that is cut short or damaged is an error with its name."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkd.data.base import DataFileError
from segkd.data.opencv_log import silence
from segkd.data.whole_file import damage

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_BIT_DEPTH_OFFSET, _PNG_COLOUR_TYPE_OFFSET, _PNG_GREY = 24, 25, 0
_PILLOW_ERRORS = (OSError, SyntaxError, ValueError, EOFError, zlib.error, Image.DecompressionBombError)

silence(cv2)


class DamagedFileError(DataFileError):
    """A file whose bytes cannot be read or decoded; unlike a wrong mask value, it says nothing of the other files."""


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a picture.

    Grey pictures get three equal channels, transparency is dropped, 16 bits become 8, and the EXIF rotation is ignored
    (masks have none).

    Returns:
        uint8 RGB, (height, width, 3).

    Raises:
        DamagedFileError: if the file is missing, cut short, damaged or no picture.
    """
    data = _read_bytes(path)
    _require_whole(path, data)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if picture is None:
        raise DamagedFileError(path, "not a picture that can be decoded (damaged, or of another format than named)")
    rgb: NDArray[np.uint8] = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return rgb


def read_label_values(path: Path) -> NDArray[np.uint8]:
    """Read a label PNG as it was written.

    Palette files give their indices, not their colours (OpenCV would give colours), and grey files of 1, 2 or 4 bits
    their numbers, not grey levels.

    Returns:
        uint8: (height, width) for grey and palette files, (height, width, 3) RGB for colour files.

    Raises:
        DamagedFileError: if the file is missing, cut short or damaged.
        DataFileError: if it is no PNG, or holds values above 255.
    """
    data = _read_bytes(path)
    if not data.startswith(_PNG_START):
        raise DataFileError(path, "not a PNG file; masks are PNG files of class numbers")
    _require_whole(path, data)
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.mode in ("RGB", "RGBA"):
                return np.asarray(picture.convert("RGB"))
            values = np.asarray(picture)
            mode = picture.mode
    except _PILLOW_ERRORS as error:
        raise DamagedFileError(path, f"damaged PNG file ({error})") from None
    if values.ndim != 2:
        raise DataFileError(path, f"PNG of mode {mode}; masks are grey, palette or RGB files without transparency")
    if mode == "1":
        return values.astype(np.uint8)
    if values.max() > np.iinfo(np.uint8).max:
        raise DataFileError(path, f"holds the value {values.max()}; class numbers are 0 to 255")
    values = values.astype(np.uint8, copy=False)
    bit_depth = data[_PNG_BIT_DEPTH_OFFSET]
    if data[_PNG_COLOUR_TYPE_OFFSET] == _PNG_GREY and bit_depth < 8:
        # Pillow spreads these over 0..255.
        values = values // np.uint8(255 // (2**bit_depth - 1))
    return values


def read_class_values(path: Path) -> NDArray[np.uint8]:
    """Read a label PNG of class numbers: like :func:`read_label_values`, but colour files are errors."""
    values = read_label_values(path)
    if values.ndim != 2:
        raise DataFileError(path, "a colour picture, expected a grey or palette PNG of class numbers")
    return values


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DamagedFileError(path, f"cannot be read: {error.strerror or error}") from None
    if not data:
        raise DamagedFileError(path, "an empty file")
    return data


def _require_whole(path: Path, data: bytes) -> None:
    found = damage(data)
    if found is not None:
        raise DamagedFileError(path, found)
