"""Pictures inside a page: label maps in their colours, pixels as data URIs."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError
from segkd.report.content import RGB

MAX_WIDTH_PX = 640
IGNORED = 255
IGNORED_COLOUR: RGB = (24, 24, 28)
UNKNOWN_COLOUR: RGB = (255, 0, 255)


def colour_labels(labels: NDArray[np.uint8], palette: list[RGB]) -> NDArray[np.uint8]:
    """Class indices (H, W) as RGB (H, W, 3); 255 becomes near-black, other values without a colour magenta."""
    table = np.full((256, 3), UNKNOWN_COLOUR, np.uint8)
    table[: len(palette)] = palette
    table[IGNORED] = IGNORED_COLOUR
    return table[labels]


def data_uri(pixels: NDArray[np.uint8], palette: list[RGB]) -> str:
    """A picture for ``<img src>``: photographs as JPEG, label maps as PNG, at most 640 pixels wide.

    Args:
        pixels: uint8 RGB (H, W, 3) or class indices (H, W).
        palette: colours of the classes.

    Raises:
        SegkdError: for another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise SegkdError(f"a picture is uint8 (H, W, 3), or (H, W) for labels, got {pixels.dtype} {pixels.shape}")
    is_labels = pixels.ndim == 2
    height, width = pixels.shape[:2]
    if width > MAX_WIDTH_PX:
        size = (MAX_WIDTH_PX, max(1, round(height * MAX_WIDTH_PX / width)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST if is_labels else cv2.INTER_AREA)
    if is_labels:
        kind, data = "png", _encode(".png", colour_labels(pixels, palette), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    else:
        kind, data = "jpeg", _encode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _encode(suffix: str, rgb: NDArray[np.uint8], options: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, np.ascontiguousarray(rgb[..., ::-1]), options)
    if not done:
        raise SegkdError(f"a picture of {rgb.shape} could not be encoded as {suffix}")
    return data.tobytes()


def classes_present(maps: list[NDArray[np.uint8]], num_classes: int) -> list[int]:
    """The classes that occur in any of the label maps, in their order."""
    present = np.zeros(256, bool)
    for labels in maps:
        present[np.unique(labels)] = True
    return [int(index) for index in np.flatnonzero(present[:num_classes])]
