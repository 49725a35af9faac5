"""Files to pixels. Nothing is repaired or guessed: a file that is cut short or damaged is an error with its name."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkd.data.base import DataFileError
from segkd.data.formats.exif import left_to_turn, orientation, upright
from segkd.data.formats.opencv_log import silence
from segkd.data.formats.whole_file import damage, pixels_of_png
from segkd.errors import SegkdError
from segkd.files.small_files import one_line, open_regular

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")

MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")
# What OpenCV decodes at most; masks have no other limit than images.
MAX_PIXELS = 2**30
MAX_FILE_BYTES = 2**30

PNG_START = b"\x89PNG\r\n\x1a\n"
_LOSSLESS = {PNG_START: "PNG", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"GIF8": "GIF"}
_PNG_BIT_DEPTH_OFFSET, _PNG_COLOUR_TYPE_OFFSET, _PNG_GREY = 24, 25, 0
_PILLOW_ERRORS = (OSError, SyntaxError, ValueError, EOFError, zlib.error, cv2.error, MemoryError)
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_WHITE_IS_ZERO = 258, 262, 0

# Pillow's own limit is for files from strangers and much smaller; it calls large files of one's own an attack.
Image.MAX_IMAGE_PIXELS = None

silence(cv2)


class DamagedFileError(DataFileError):
    """A file whose bytes cannot be read or decoded; unlike a wrong mask value, it says nothing of the other files."""


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a picture, upright.

    A picture that carries an EXIF orientation is turned as viewers show it. Grey pictures get three equal channels, a
    fourth channel is dropped, and of 16 bits the upper 8 are kept; ``segkd data check`` counts such pictures.

    Returns:
        uint8 RGB, (height, width, 3).

    Raises:
        DamagedFileError: if the file is missing, cut short, damaged or no picture.
    """
    data = read_bytes(path)
    if data.startswith(PNG_START):
        return upright(_rgb_of_png(path, data), orientation(data))

    # Turned here and not by OpenCV, whose versions differ in the formats whose orientation they read.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError):
        raise DamagedFileError(path, "has more pixels than OpenCV decodes, or than memory holds") from None
    if picture is None:
        raise DamagedFileError(path, "not a picture that can be decoded (damaged, or of another format than named)")
    rgb: NDArray[np.uint8] = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return upright(rgb, orientation(data))


def _rgb_of_png(path: Path, data: bytes) -> NDArray[np.uint8]:
    """Decode by Pillow, which raises where OpenCV's libpng writes a line without the file's name.

    Raises:
        DamagedFileError: if the file is damaged or too large.
    """
    try:
        with Image.open(io.BytesIO(pixels_of_png(data))) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise DamagedFileError(path, f"has more than {MAX_PIXELS} pixels")
            # Left out like a fourth channel; Pillow warns where it drops it by itself.
            picture.info.pop("transparency", None)
            if not picture.mode.startswith("I"):
                return np.array(picture.convert("RGB"))
            grey = (np.asarray(picture) >> 8).astype(np.uint8)
    except _PILLOW_ERRORS as error:
        raise DamagedFileError(path, f"damaged PNG file ({error})") from None
    return np.repeat(grey[:, :, None], 3, axis=2)


def read_label_values(path: Path, *, png_only: bool = True) -> NDArray[np.uint8]:
    """Read a label file as it was written.

    Palette files give their indices, not their colours (OpenCV would give colours), and grey files of 1, 2 or 4 bits
    their numbers, not grey levels. A file that carries an EXIF orientation is turned as its image is.

    Args:
        path: the file.
        png_only: whether other lossless kinds (BMP, TIFF, GIF) are errors, as published sets have none.

    Returns:
        uint8: (height, width) for grey and palette files, (height, width, 3) RGB for colour files.

    Raises:
        DamagedFileError: if the file is missing, cut short or damaged.
        DataFileError: if it is of a kind that changes class numbers, or holds values above 255.
    """
    data = read_bytes(path)
    kind = _lossless_kind(path, data, png_only)
    try:
        with Image.open(io.BytesIO(data)) as picture:
            _require_exact(path, picture)
            bits, mode = _grey_bits(data, picture), picture.mode
            colours = mode in ("RGB", "RGBA")
            values = np.asarray(picture.convert("RGB") if colours else _grey_of_gif(picture))
            values = upright(values, left_to_turn(picture))
    except _PILLOW_ERRORS as error:
        raise DamagedFileError(path, f"damaged {kind} file ({error})") from None
    if colours:
        return values
    return _class_numbers(path, values, bits, f"{kind} of mode {mode}")


def _class_numbers(path: Path, values: NDArray[Any], bits: int, what: str) -> NDArray[np.uint8]:
    """A grey or palette file's values as the numbers that were written.

    Raises:
        DataFileError: if they are no numbers from 0 to 255.
    """
    if values.ndim != 2:
        raise DataFileError(path, f"{what}; masks are grey, palette or RGB files without transparency")
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if values.dtype.kind not in "ui" or values.min() < 0 or values.max() > np.iinfo(np.uint8).max:
        number = "a number with a fraction, as" if values.dtype.kind == "f" else "the value"
        outside = values.min() if values.min() < 0 else values.max()
        raise DataFileError(path, f"holds {number} {outside}; class numbers are 0 to 255")
    values = values.astype(np.uint8, copy=False)
    # Pillow spreads fewer bits over 0..255.
    return values // np.uint8(255 // (2**bits - 1)) if bits < 8 else values


def _grey_of_gif(picture: Image.Image) -> Image.Image:
    """The grey levels of a GIF file whose palette is grey; GIF has no other grey, and its writers renumber it."""
    if picture.format != "GIF" or picture.mode != "P":
        return picture
    picture.load()
    palette = np.array(picture.getpalette() or [], np.uint8).reshape(-1, 3)
    used = palette[np.unique(np.asarray(picture))]
    return picture.convert("L") if (used == used[:, :1]).all() else picture


def _require_exact(path: Path, picture: Image.Image) -> None:
    """Refuse what would not give the class numbers that were written.

    Raises:
        DataFileError: naming what the file holds.
    """
    if picture.width * picture.height > MAX_PIXELS:
        raise DataFileError(path, f"has {picture.width * picture.height} pixels; masks have at most {MAX_PIXELS}")
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        raise DataFileError(path, f"holds {frames} pictures; a mask is one picture: save it as PNG")
    if "jpeg" in str(picture.info.get("compression", "")).lower():
        raise DataFileError(path, "TIFF file with JPEG inside, which changes class numbers; save masks as PNG")
    if picture.format == "TIFF" and _tiff_tag(picture, _TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO:
        raise DataFileError(path, "TIFF file whose 0 is white: readers disagree on its numbers; save the mask as PNG")


def _grey_bits(data: bytes, picture: Image.Image) -> int:
    """Bits per pixel of a grey file; 8 or more for all others."""
    if data.startswith(PNG_START):
        return data[_PNG_BIT_DEPTH_OFFSET] if data[_PNG_COLOUR_TYPE_OFFSET] == _PNG_GREY else 8
    if picture.format == "TIFF" and picture.mode == "L":
        bits = _tiff_tag(picture, _TIFF_BITS)
        return int(bits[0] if isinstance(bits, tuple) else bits or 8)
    return 8


def _tiff_tag(picture: Image.Image, tag: int) -> Any:
    tags: Mapping[int, Any] = getattr(picture, "tag_v2", {})
    return tags.get(tag)


def read_class_values(path: Path) -> NDArray[np.uint8]:
    """Read a label PNG of class numbers: like :func:`read_label_values`, but colour files are errors."""
    values = read_label_values(path)
    if values.ndim != 2:
        raise DataFileError(path, "a colour picture, expected a grey or palette PNG of class numbers")
    return values


def read_bytes(path: Path) -> bytes:
    """The bytes of a picture or mask, whole as far as its format can tell.

    Raises:
        DamagedFileError: if the file is missing, empty, cut short or damaged.
    """
    data = file_bytes(path)
    if not data:
        raise DamagedFileError(path, "an empty file")
    found = damage(data)
    if found is not None:
        raise DamagedFileError(path, found)
    return data


def file_bytes(path: Path) -> bytes:
    """The bytes of one file of a data set.

    Raises:
        DamagedFileError: if it is no regular file, cannot be read, or is larger than ``MAX_FILE_BYTES``.
    """
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                raise DamagedFileError(path, "has more than 1 GiB, too much for a picture or mask")
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise DamagedFileError(path, f"cannot be read: {error.strerror or error}") from None
    except DamagedFileError:
        raise
    except SegkdError as error:
        raise DamagedFileError(path, str(error).removeprefix(f"{one_line(path)}: ")) from None


def _lossless_kind(path: Path, data: bytes, png_only: bool) -> str:
    """The kind of a label file, told by its content and not by its name.

    Raises:
        DataFileError: for kinds that change class numbers, and for what is no picture.
    """
    for start, kind in _LOSSLESS.items():
        if data.startswith(start) and (kind == "PNG" or not png_only):
            return kind
    if data.startswith(b"\xff\xd8"):
        raise DataFileError(path, "not a PNG file but a JPEG, which changes class numbers; save masks as PNG")
    if data.startswith(b"RIFF"):
        raise DataFileError(path, "not a PNG file but WebP, which may change class numbers; save masks as PNG")
    raise DataFileError(path, "not a PNG file; masks are PNG files (or BMP, TIFF, GIF) of class numbers")
