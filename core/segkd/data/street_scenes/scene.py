"""One street scene from a seed and an index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segkd.data.street_scenes.canvas import Canvas
from segkd.data.street_scenes.objects import draw_hood, draw_objects
from segkd.data.street_scenes.render import render
from segkd.data.street_scenes.roadside import draw_fences, line_street
from segkd.data.street_scenes.street import lay_street
from segkd.errors import SegkdError

MIN_SIDE_PX = 32


def scene(
    seed: int, index: int, height_px: int, width_px: int, *, hard: float = 0.5, thickness: float = 1.7
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one scene; the same arguments draw the same picture.

    Another version of OpenCV may round single pixels differently.

    Args:
        seed: the series, 0 or more.
        index: the scene's number in its series, 0 or more.
        height_px: height of the picture, 32 or more.
        width_px: width of the picture, 32 or more.
        hard: strength of texture, weather, light and noise, 0 or more; 1 is the hardest that was measured.
        thickness: factor on the size of thin things, above 0; 1.7 keeps them learnable at 128x256, 1 suits 256x512.

    Returns:
        The image, uint8 RGB (height, width, 3), and its Cityscapes label ids, uint8 (height, width).

    Raises:
        SegkdError: if a side is shorter than 32 px, or hard or thickness are out of range.
    """
    if min(height_px, width_px) < MIN_SIDE_PX:
        raise SegkdError(f"street scenes are at least {MIN_SIDE_PX}x{MIN_SIDE_PX} px, asked for {height_px}x{width_px}")
    if not (hard >= 0 and thickness > 0):
        raise SegkdError(f"street scenes need hard >= 0 and thickness > 0, got hard={hard} thickness={thickness}")
    canvas = Canvas(height_px, width_px, np.random.default_rng([seed, index]), thickness)
    street = lay_street(canvas)
    line_street(canvas, street)
    draw_fences(canvas, street)
    draw_objects(canvas, street)
    draw_hood(canvas, street)
    label_ids = canvas.label_ids()
    return render(canvas, street, label_ids, hard), label_ids
