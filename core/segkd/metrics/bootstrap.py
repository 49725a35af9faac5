"""How sure is a score? Confidence intervals over the choice of images."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError
from segkd.metrics.scores import Absent, Areas, ratios

Interval = tuple[float, float]

# Resamples weighed at a time; bounds the memory of the products.
_RESAMPLES_AT_ONCE = 256


@dataclass(frozen=True)
class Intervals:
    """Lower and upper end of each score's interval; nan where a score is not defined in any resample.

    Attributes:
        miou: of mIoU.
        macc: of mAcc.
        aacc: of aAcc.
        iou: per class.
    """

    miou: Interval
    macc: Interval
    aacc: Interval
    iou: list[Interval]


def bootstrap_intervals(
    per_image: Areas, *, resamples: int = 1000, seed: int = 0, confidence: float = 0.95, absent: Absent = "skip"
) -> Intervals:
    """Percentile intervals of set-level scores (Efron 1979): images are drawn with replacement, and each draw scored.

    A draw's areas are sums of its images' areas, so that every draw is scored by the rules of :func:`scores`. The
    interval says how much of a score rests on this choice of images; it knows nothing of the seeds of trainings.

    Args:
        per_image: areas (N, K) of each image.
        resamples: number of draws, at least 2.
        seed: of the draws; the same seed gives the same interval.
        confidence: above 0 and below 1.
        absent: what a class adds to mIoU that is nowhere in a draw.

    Raises:
        SegkdError: without images, or for numbers that make no sense.
    """
    ends = _quantiles(_draws(per_image, resamples, seed, confidence, absent), confidence)
    return Intervals(ends[0], ends[1], ends[2], ends[3:])


def bootstrap_deltas(
    before: Areas,
    after: Areas,
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    absent: Absent = "skip",
) -> Intervals:
    """Percentile intervals of the differences ``after`` minus ``before`` between two predictions of the same images.

    Each draw takes the same images of both, so that what is hard about an image cancels: a small change that all
    images share is told from noise.

    Args:
        before: areas (N, K) of each image.
        after: areas (N, K) of the same images, in the same order.
        resamples: number of draws, at least 2.
        seed: of the draws.
        confidence: above 0 and below 1.
        absent: what a class adds to mIoU that is nowhere in a draw.

    Raises:
        SegkdError: for areas of different shapes, without images, or for numbers that make no sense.
    """
    if before.hits.shape != after.hits.shape:
        raise SegkdError(
            f"differences are between areas of the same images, got shapes {before.hits.shape} and {after.hits.shape}"
        )
    old, new = (_draws(parts, resamples, seed, confidence, absent) for parts in (before, after))
    ends = _quantiles(new - old, confidence)
    return Intervals(ends[0], ends[1], ends[2], ends[3:])


def _draws(per_image: Areas, resamples: int, seed: int, confidence: float, absent: Absent) -> NDArray[np.float64]:
    """mIoU, mAcc, aAcc and IoU per class of each draw, (resamples, 3 + K); the seed alone decides what is drawn."""
    images, num_classes = per_image.hits.shape
    if not images or resamples < 2 or not 0 < confidence < 1:
        raise SegkdError(
            "a bootstrap needs an image, 2 draws and a confidence above 0 and below 1, "
            f"got {images}, {resamples} and {confidence}"
        )
    generator = np.random.default_rng(seed)
    flat = np.concatenate(per_image, axis=1).astype(np.float64)
    rows = []
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        count = min(_RESAMPLES_AT_ONCE, resamples - start)
        weights = generator.multinomial(images, np.full(images, 1 / images), size=count)
        # Whole numbers below 2^53: exact in float64, whose product is much faster.
        sums = (weights.astype(np.float64) @ flat).astype(np.int64).reshape(count, 3, num_classes)
        drawn = ratios(Areas(sums[:, 0], sums[:, 1], sums[:, 2]), absent)
        rows.append(np.column_stack([drawn.miou, drawn.macc, drawn.aacc, drawn.iou]))
    return np.concatenate(rows)


def _quantiles(draws: NDArray[np.float64], confidence: float) -> list[Interval]:
    tail = (1 - confidence) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns of nan alone are classes that are nowhere
        low, high = np.nanquantile(draws, [tail, 1 - tail], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
