"""Scale, crop and flip on uint8, composed with albumentations; the crop comes first, because it is cheaper."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # read by albumentations' import, which asks the network else

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.data.base import IGNORE

Pixels = NDArray[np.uint8]
Window = tuple[int, int, int, int]  # top, left, height, width

# Class shares of a crop are counted on a grid of about this many rows and columns.
_COUNT_GRID = 128


@dataclass(frozen=True)
class Geometry:
    """The random geometry of training samples.

    Attributes:
        crop: (height, width) in pixels of the result.
        scale: range of the uniform random scale.
        scale_step: distance of the scales that are drawn, from the smallest on; None for every scale of the range.
        short_side: short side in pixels of an image at scale 1; None for its own size.
        long_side: limit in pixels of the long side at scale 1.
        flip: probability of a horizontal flip.
        cat_max_ratio: windows in which one class has at least this share are drawn again; 1 turns it off.
        fill: RGB of the area beyond the image.
        pad_label: label of the area beyond the image.
    """

    crop: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    scale_step: float | None = None
    short_side: int | None = None
    long_side: int | None = None
    flip: float = 0.5
    cat_max_ratio: float = 0.75
    fill: tuple[int, int, int] = (124, 116, 104)
    pad_label: int = IGNORE

    def draw_scale(self, rng: np.random.Generator, height: int, width: int) -> float:
        """The factor from the pixels of an image of this size to those of the crop."""
        low, high = self.scale
        if self.scale_step is None:
            drawn = float(rng.uniform(low, high))
        else:
            steps = round((high - low) / self.scale_step)
            drawn = low + self.scale_step * int(rng.integers(0, steps + 1))
        sides = ((self.short_side, min(height, width)), (self.long_side, max(height, width)))
        limits = [wanted / own for wanted, own in sides if wanted is not None]
        return drawn * min(limits) if limits else drawn


class ScaledCrop(A.DualTransform):
    """Random scale, then random crop, done as: window of crop/scale pixels, then resize.

    Equal in distribution to mmsegmentation's ``RandomResize`` + ``RandomCrop(cat_max_ratio)`` + ``Pad``
    (mmseg 1.2.2). Differs from the original:
    - the window has ``round(crop / scale)`` pixels, so the scale is exact to half a pixel only;
    - class shares are counted before the resize, on a grid of at least 128 x 128 cells where the window has them;
    - scale 1 of ``short_side`` and ``long_side`` is not rounded to whole pixels before the random factor.
    """

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(p=1.0)
        self.geometry = geometry

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the window, looking at the mask where there is one."""
        height, width = data["image"].shape[:2]
        rng: np.random.Generator = self.random_generator
        scale = self.geometry.draw_scale(rng, height, width)
        window = self._draw(rng, height, width, scale)
        if self.geometry.cat_max_ratio < 1 and data.get("mask") is not None:
            for _ in range(10):
                if largest_share(data["mask"], window) < self.geometry.cat_max_ratio:
                    break
                window = self._draw(rng, height, width, scale)
        return {"window": window, "scale": scale}

    def _draw(self, rng: np.random.Generator, height: int, width: int, scale: float) -> Window:
        window_height, window_width = (max(1, round(side / scale)) for side in self.geometry.crop)
        top = int(rng.integers(0, max(0, height - window_height) + 1))
        left = int(rng.integers(0, max(0, width - window_width) + 1))
        return top, left, min(window_height, height), min(window_width, width)

    def apply(self, img: NDArray[np.uint8], window: Window, scale: float, **_: Any) -> NDArray[np.uint8]:
        """Cut the image, bilinear."""
        return self._cut(img, window, scale, cv2.INTER_LINEAR, self.geometry.fill)

    def apply_to_mask(self, mask: NDArray[np.uint8], window: Window, scale: float, **_: Any) -> NDArray[np.uint8]:
        """Cut the mask, nearest neighbour."""
        return self._cut(mask, window, scale, cv2.INTER_NEAREST, self.geometry.pad_label)

    def _cut(
        self, pixels: NDArray[np.uint8], window: Window, scale: float, interpolation: int, fill: tuple[int, ...] | int
    ) -> NDArray[np.uint8]:
        top, left, window_height, window_width = window
        height, width = self.geometry.crop
        part = pixels[top : top + window_height, left : left + window_width]
        # A window that the image cannot fill is smaller than crop/scale; it stays top left, as mmsegmentation pads.
        part_height = height if window_height == max(1, round(height / scale)) else round(window_height * scale)
        part_width = width if window_width == max(1, round(width / scale)) else round(window_width * scale)
        size = (max(1, min(part_width, width)), max(1, min(part_height, height)))
        resized: NDArray[np.uint8] = cv2.resize(part, size, interpolation=interpolation)
        if resized.shape[:2] == (height, width):
            return resized
        canvas = np.empty((height, width, *pixels.shape[2:]), np.uint8)
        canvas[...] = fill
        canvas[: size[1], : size[0]] = resized
        return canvas


def largest_share(mask: NDArray[np.uint8], window: Window) -> float:
    """The share of the most frequent class among a window's labelled pixels; 1 where there is but one class or none."""
    top, left, height, width = window
    rows, columns = max(1, height // _COUNT_GRID), max(1, width // _COUNT_GRID)
    counts = np.bincount(mask[top : top + height : rows, left : left + width : columns].ravel(), minlength=IGNORE + 1)
    labelled = counts[:IGNORE]
    total = int(labelled.sum())
    return int(labelled.max()) / total if total else 1.0


class Pipeline:
    """Random transforms whose result depends on the sample and the generator alone.

    Args:
        crop: (height, width) in pixels of the result.
        transforms: of albumentations, in order.
    """

    def __init__(self, crop: tuple[int, int], transforms: list[Any]) -> None:
        self.crop = crop
        self._compose = A.Compose(transforms)

    def __call__(
        self, image: NDArray[np.uint8], mask: NDArray[np.uint8] | None, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Transform one sample.

        Args:
            image: uint8 RGB (H, W, 3).
            mask: uint8 (H, W), or None for a frame without labels: then the result is all ``IGNORE``.
            rng: the sample's own generator.

        Returns:
            uint8 image (crop height, crop width, 3) and mask (crop height, crop width).
        """
        # All transforms draw from one generator; ``set_random_seed`` would give each of them the same numbers.
        self._compose.set_random_state(rng, random.Random(int(rng.integers(2**63))))
        image, labels = self._transform(image, mask)
        return image, labels if mask is not None else np.full(self.crop, IGNORE, np.uint8)

    def _transform(self, image: Pixels, mask: Pixels | None) -> tuple[Pixels, Pixels]:
        """Image and mask of the crop's size; without a mask, the second counts for nothing."""
        raise NotImplementedError


class GeometryPipeline(Pipeline):
    """A :class:`Geometry`, composed."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry.crop, [ScaledCrop(geometry), A.HorizontalFlip(p=geometry.flip)])

    def _transform(self, image: Pixels, mask: Pixels | None) -> tuple[Pixels, Pixels]:
        if mask is None:
            image = self._compose(image=image)["image"]
            return image, image
        result = self._compose(image=image, mask=mask)
        return result["image"], result["mask"]
