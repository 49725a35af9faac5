"""Masks as COCO's compressed run lengths.

Source: cocodataset/cocoapi, ``common/maskApi.c`` (``rleFrString``): runs of zeros and ones in turn, column by column.
Each run is a number in groups of five bits, lowest first, one printable character per group; from the fourth run on, it
is the difference to the run before the last.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def decode_runs(counts: str | Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """A mask from its run lengths.

    Args:
        counts: run lengths, as COCO's text or as plain numbers.
        height: of the mask.
        width: of the mask.

    Returns:
        bool, (height, width).

    Raises:
        ValueError: if the runs do not fill the mask exactly.
    """
    runs = _numbers(counts) if isinstance(counts, str) else list(counts)
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ValueError(f"run lengths of {sum(runs)} pixels, expected {height}x{width}")
    values = np.arange(len(runs)) % 2 == 1
    mask: NDArray[np.bool_] = np.repeat(values, runs).reshape(width, height).T
    return mask


def _numbers(text: str) -> list[int]:
    runs: list[int] = []
    number = shift = 0
    for character in text.encode("ascii"):
        group = character - 48
        number |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20:
            continue
        if group & 0x10:
            number -= 1 << shift
        runs.append(number + runs[-2] if len(runs) > 2 else number)
        number = shift = 0
    return runs
