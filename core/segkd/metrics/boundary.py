"""Which pixels lie near a boundary between regions."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError


def boundary_band(mask: NDArray[np.uint8], width_px: int, *, neutral: int | None = None) -> NDArray[np.bool_]:
    """Pixels with another label within ``width_px``, counted in rows and columns (a square window).

    They are the pixels where grey dilation and grey erosion of the label map with a square of 2 * width_px + 1 pixels
    differ; the same as the union over the classes of (dilated XOR eroded). Ignored pixels are a region like any
    other, so borders with them are boundaries; the picture's edge is none.

    Args:
        mask: uint8 labels (H, W).
        width_px: distance in pixels, at least 1. Publish it with every number made from the band.
        neutral: a value that makes no boundary with any other, for example the ignored one; None for none.

    Returns:
        bool (H, W).

    Raises:
        SegkdError: if the mask is not uint8 (H, W), or the width is below 1.
    """
    if mask.dtype != np.uint8 or mask.ndim != 2:
        raise SegkdError(f"a boundary band needs a uint8 mask (height, width), got {mask.dtype} {mask.shape}")
    if width_px < 1:
        raise SegkdError(f"the width of a boundary band is at least 1 pixel, got {width_px}")
    window = np.ones((2 * width_px + 1, 2 * width_px + 1), np.uint8)
    if neutral is None:
        different: NDArray[np.bool_] = np.not_equal(cv2.dilate(mask, window), cv2.erode(mask, window))
        return different
    low, high = mask.copy(), mask.copy()
    low[mask == neutral], high[mask == neutral] = 0, 255
    # Windows of neutral pixels alone give 0 and 255, hence "greater" and not "different".
    greater: NDArray[np.bool_] = np.greater(cv2.dilate(low, window), cv2.erode(high, window))
    return greater
