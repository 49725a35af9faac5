"""What changes the meaning of a score, in words that check, train and eval share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MIN_INTERVAL_IMAGES = 8
"""Fewer images give no confidence interval: the draws repeat a handful of images and the interval is far too narrow."""


def few_images(count: int) -> str:
    """``3 images, ...`` for a validation set too small for its score to mean much; nothing for others."""
    if count >= MIN_INTERVAL_IMAGES:
        return ""
    images = "1 image" if count == 1 else f"{count} images"
    return f"{images}: scores rest on them alone, and below {MIN_INTERVAL_IMAGES} there are no confidence intervals"


def absent_classes(names: Sequence[str], pixels: NDArray[np.int64], most: int = 5) -> str:
    """``fence, pole have no pixel`` for classes without one; nothing where all have some.

    Args:
        names: one per class.
        pixels: labelled pixels of each class, (K,).
        most: names that are written out.
    """
    absent = [name for name, count in zip(names, pixels, strict=True) if not count]
    if not absent:
        return ""
    rest = f" and {len(absent) - most} more" if len(absent) > most else ""
    return f"{', '.join(absent[:most])}{rest} {'has' if len(absent) == 1 else 'have'} no pixel"
