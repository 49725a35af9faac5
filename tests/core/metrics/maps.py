"""Label maps that the tests of the metrics share."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

CLASSES, HEIGHT, WIDTH = 3, 11, 14

truths = arrays(np.uint8, (HEIGHT, WIDTH), elements=st.sampled_from([0, 1, 2, 255]))
predictions = arrays(np.uint8, (HEIGHT, WIDTH), elements=st.integers(0, 3))


def regions(seed: int, *, classes: int = CLASSES, size: tuple[int, int] = (40, 50)) -> NDArray[np.uint8]:
    """Smooth regions of classes, with an ignored corner."""
    import cv2

    noise = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    edges = np.quantile(smooth, np.linspace(0, 1, classes + 1)[1:-1])
    labels = np.digitize(smooth, edges).astype(np.uint8)
    labels[:6, :9] = 255
    return labels
