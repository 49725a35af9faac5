"""What a data set holds: class shares, picture sizes, and how fast it is read."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Dataset
from segkd.errors import SegkdError


@dataclass
class DatasetStats:
    """Sums over the images that were read.

    Attributes:
        images: images of the data set.
        names: its classes; empty for plain frames.
        class_pixels: pixels of each class, int64 (K,).
        class_images: images in which each class occurs, int64 (K,).
        ignored_pixels: pixels without a class.
        sizes: (height, width) in pixels -> images.
        image_seconds: for reading each image.
        mask_seconds: for reading each mask.
    """

    images: int
    names: tuple[str, ...]
    class_pixels: NDArray[np.int64]
    class_images: NDArray[np.int64]
    ignored_pixels: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    image_seconds: list[float] = field(default_factory=list)
    mask_seconds: list[float] = field(default_factory=list)

    @property
    def read(self) -> int:
        """How many images were read."""
        return len(self.image_seconds)

    @property
    def images_per_s(self) -> float:
        """Images, with their masks, read per second by one thread."""
        return self.read / (sum(self.image_seconds) + sum(self.mask_seconds))

    @property
    def labelled_share(self) -> float:
        """The share of pixels that have a class; nan for plain frames."""
        labelled = int(self.class_pixels.sum())
        total = labelled + self.ignored_pixels
        return labelled / total if total else float("nan")

    def class_shares(self) -> NDArray[np.float64]:
        """The share of each class among the pixels that have one; nan where none has."""
        total = self.class_pixels.sum()
        return self.class_pixels / total if total else np.full(len(self.names), np.nan)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        shares = self.class_shares()
        heights, widths = ([size[axis] for size in self.sizes.elements()] for axis in (0, 1))

        return {
            "images": self.images,
            "read": self.read,
            "height_px": _range(heights),
            "width_px": _range(widths),
            "distinct_sizes": len(self.sizes),
            "images_per_s": self.images_per_s,
            "image_ms": 1000 * statistics.fmean(self.image_seconds),
            "mask_ms": 1000 * statistics.fmean(self.mask_seconds) if self.mask_seconds else None,
            "labelled_share": self.labelled_share,
            "classes": [
                {
                    "name": name,
                    "share": float(shares[index]),
                    "pixels": int(self.class_pixels[index]),
                    "images": int(self.class_images[index]),
                }
                for index, name in enumerate(self.names)
            ],
        }


def spread(length: int, limit: int | None) -> list[int]:
    """Up to ``limit`` indices below ``length``, evenly spread, the first among them."""
    if limit is None or limit >= length:
        return list(range(length))
    return [position * length // limit for position in range(limit)]


def measure(dataset: Dataset, limit: int | None = None, on_image: Callable[[], object] = lambda: None) -> DatasetStats:
    """Read images, one after the other in one thread, and count.

    Args:
        dataset: the data set.
        limit: how many images to read, spread evenly; None for all.
        on_image: called after every image.

    Raises:
        SegkdError: if there is no image, or one cannot be read; it names the file.
    """
    if not len(dataset):
        raise SegkdError("the data set has no image to read; segkd data check says why")
    names = dataset.labels.names if dataset.has_masks else ()
    stats = DatasetStats(len(dataset), names, np.zeros(len(names), np.int64), np.zeros(len(names), np.int64))
    # The first read of all also loads the decoders, which would count for a short sample.
    dataset.read_image(0)
    if dataset.has_masks:
        dataset.read_mask(0)
    for index in spread(len(dataset), limit):
        start = time.perf_counter()
        image = dataset.read_image(index)
        stats.image_seconds.append(time.perf_counter() - start)
        stats.sizes[image.shape[0], image.shape[1]] += 1
        if dataset.has_masks:
            start = time.perf_counter()
            mask = dataset.read_mask(index)
            stats.mask_seconds.append(time.perf_counter() - start)
            _count(stats, mask)
        on_image()
    return stats


def _count(stats: DatasetStats, mask: NDArray[np.uint8]) -> None:
    counts = np.bincount(mask.ravel(), minlength=256)
    classes = counts[: len(stats.names)]
    stats.class_pixels += classes
    stats.class_images += classes > 0
    stats.ignored_pixels += int(counts[len(stats.names) :].sum())


def _range(values: list[int]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}
