"""The EXIF orientation of a picture: how a camera was held, and how viewers turn what it stored."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UPRIGHT = 1
_ORIENTATION_TAG = 0x0112
# What EXIF data begin with in each format, and in how many bytes to look; without it no file is opened a second time.
_HEAD = 2**17
_MARKS: tuple[tuple[bytes, bytes, int | None], ...] = (
    (b"\xff\xd8", b"Exif\0\0", _HEAD),
    (b"\x89PNG", b"eXIf", None),
    (b"\x89PNG", b"Raw profile type exif", _HEAD),
    (b"RIFF", b"EXIF", None),
    (b"II*\0", b"", 0),
    (b"MM\0*", b"", 0),
)


def orientation(data: bytes) -> int:
    """The EXIF orientation, 1 to 8, of a picture's bytes; 1 (upright) where none is given.

    Args:
        data: a whole file: JPEG, PNG, WebP or TIFF; other formats carry none.
    """
    if not any(data.startswith(start) and data.find(mark, 0, limit) >= 0 for start, mark, limit in _MARKS):
        return UPRIGHT
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return left_to_turn(picture)
    except (OSError, SyntaxError, ValueError, EOFError, KeyError, zlib.error):
        return UPRIGHT  # the picture itself is read elsewhere, which names what is wrong with it


def left_to_turn(picture: Image.Image) -> int:
    """The orientation of a picture that Pillow has opened; 1 once it is upright.

    Pillow turns TIFF files itself when their pixels are loaded, and takes the orientation off.
    """
    value = picture.getexif().get(_ORIENTATION_TAG, UPRIGHT)
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT


def upright(pixels: NDArray[Any], value: int) -> NDArray[Any]:
    """Turn and mirror pixels as their EXIF orientation says.

    Args:
        pixels: (height, width) or (height, width, channels).
        value: 1 to 8, as in the EXIF standard, table 4.6.

    Returns:
        The upright picture, contiguous; 5 to 8 exchange height and width.
    """
    if value == UPRIGHT:
        return pixels
    if value >= 5:
        pixels = pixels.swapaxes(0, 1)
    if value in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if value in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
