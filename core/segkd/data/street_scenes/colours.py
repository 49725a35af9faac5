"""Random colours."""

from __future__ import annotations

import cv2
import numpy as np

from segkd.data.street_scenes.canvas import Colour

Range = tuple[float, float]


def hsv(rng: np.random.Generator, hue: Range, saturation: Range, value: Range) -> Colour:
    """An RGB colour from ranges of hue (OpenCV's half degrees, 0..180), saturation and value (0..255)."""
    drawn = [rng.uniform(*hue) % 180, rng.uniform(*saturation), rng.uniform(*value)]
    red, green, blue = cv2.cvtColor(np.array([[drawn]]).astype(np.uint8), cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return float(red), float(green), float(blue)


def grey(rng: np.random.Generator, low: float, high: float, tint: float) -> Colour:
    """A grey between ``low`` and ``high`` (may leave 0..255) whose channels differ by up to ``tint`` levels."""
    level = rng.uniform(low, high)
    red, green, blue = (min(max(level + shift, 0.0), 255.0) for shift in rng.uniform(-tint, tint, 3).tolist())
    return red, green, blue
