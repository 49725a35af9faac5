"""The painter's canvas: shapes go on a map of part numbers, later shapes over earlier ones."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.data.readers.cityscapes import LABEL_IDS

CLASSES: tuple[str, ...] = (
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "car",
    "truck",
    "bicycle",
)
"""The classes that scenes show, by their Cityscapes names; rider, bus, train and motorcycle do not occur."""

EGO_VEHICLE = "ego vehicle"
_PART_IDS = {name: LABEL_IDS[name] for name in CLASSES} | {EGO_VEHICLE: 1, "static": 4}

Colour = tuple[float, float, float]
Point = tuple[float, float]

# Surface textures: the index of a texture map in render.py.
FINE, ROUGH, STRIPED, CLOUDY = range(4)

REFERENCE_HEIGHT_PX = 256


class Canvas:
    """Part numbers of pixels, and what each part is: class, colour and texture.

    Args:
        height_px: height of the picture.
        width_px: width of the picture.
        rng: the stream that everything random in the scene is drawn from, in drawing order.
        thickness: factor on the size of thin things (poles, signs, lights, people, fences, bicycles).

    Attributes:
        part_map: int32 part numbers, (height, width).
        scale: the height in units of 256 px; line widths and textures follow it.
    """

    def __init__(self, height_px: int, width_px: int, rng: np.random.Generator, thickness: float) -> None:
        self.height_px, self.width_px = height_px, width_px
        self.rng, self.uniform, self.thickness = rng, rng.uniform, thickness
        self.scale = height_px / REFERENCE_HEIGHT_PX
        self.part_map: NDArray[np.int32] = np.zeros((height_px, width_px), np.int32)
        self._label_ids = [_PART_IDS["static"]]
        self._colours: list[Colour] = [(90.0, 90.0, 90.0)]
        self._contrasts: list[float] = [10.0]
        self._textures = [FINE]

    def part(self, class_name: str, colour: Colour, contrast: float, texture: int = FINE) -> int:
        """Declare a part to draw with.

        Args:
            class_name: a name of :data:`CLASSES`, or ``ego vehicle``.
            colour: RGB, 0..255.
            contrast: strength of the texture in grey levels.
            texture: FINE, ROUGH, STRIPED or CLOUDY.

        Returns:
            The part's number.
        """
        self._label_ids.append(_PART_IDS[class_name])
        self._colours.append(colour)
        self._contrasts.append(contrast)
        self._textures.append(texture)
        return len(self._label_ids) - 1

    def polygon(self, points: Sequence[Point] | NDArray[np.float64], part: int) -> None:
        """Fill a polygon."""
        cv2.fillPoly(self.part_map, [np.round(np.asarray(points)).astype(np.int32)], part)

    def rectangle(self, left: float, top: float, right: float, bottom: float, part: int) -> None:
        """Fill a rectangle, borders included."""
        cv2.rectangle(self.part_map, (round(left), round(top)), (round(right), round(bottom)), part, -1)

    def line(self, start: Point, end: Point, width_px: float, part: int) -> None:
        """Draw a line of at least one pixel's width."""
        a, b = (round(start[0]), round(start[1])), (round(end[0]), round(end[1]))
        cv2.line(self.part_map, a, b, part, max(1, round(width_px)))

    def ellipse(self, center: Point, radii: Point, part: int) -> None:
        """Fill an ellipse."""
        self._ellipse(center, radii, part, -1)

    def ring(self, center: Point, radius: float, width_px: float, part: int) -> None:
        """Draw a circle's outline."""
        self._ellipse(center, (radius, radius), part, max(1, round(width_px)))

    def _ellipse(self, center: Point, radii: Point, part: int, line_px: int) -> None:
        middle = (round(center[0]), round(center[1]))
        axes = (max(1, round(radii[0])), max(1, round(radii[1])))
        cv2.ellipse(self.part_map, middle, axes, 0, 0, 360, part, line_px)

    def label_ids(self) -> NDArray[np.uint8]:
        """The Cityscapes label id of every pixel."""
        return np.asarray(self._label_ids, np.uint8)[self.part_map]

    def colours(self) -> NDArray[np.float32]:
        """The flat colour of every pixel, (height, width, 3)."""
        return np.asarray(self._colours, np.float32)[self.part_map]

    def contrasts(self) -> NDArray[np.float32]:
        """The texture's strength at every pixel."""
        return np.asarray(self._contrasts, np.float32)[self.part_map]

    def textures(self) -> NDArray[np.intp]:
        """The texture's index at every pixel."""
        return np.asarray(self._textures, np.intp)[self.part_map]
