"""Weights of the classes in the cross-entropy: given, published, or computed from the training masks."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Dataset
from segkd.data.readers.cityscapes import LABEL_SPACE
from segkd.errors import SegkdError

CITYSCAPES_WEIGHTS = (
    *(0.8373, 0.9180, 0.8660, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786),
    *(1.0023, 0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507),
)
"""Those of HRNet's Cityscapes recipes (HRNet-Semantic-Segmentation, lib/datasets/cityscapes.py), also in open-mmlab's
``ocrnet`` and ``bisenet`` configurations."""


def class_weights(spec: str | Sequence[float] | None, dataset: Dataset) -> tuple[float, ...] | None:
    """What ``train.class_weights`` stands for.

    Args:
        spec: one weight per class, ``auto`` (:func:`median_frequency_weights` of the data set's masks, printed on
            stderr), ``cityscapes`` (the published list), or None.
        dataset: the labelled training images.

    Raises:
        SegkdError: for another number of weights than classes, a weight that is negative or not finite, weights that
            are all 0, or ``cityscapes`` for other classes.
    """
    names = dataset.labels.names
    if spec is None:
        return None
    if spec == "auto":
        weights = median_frequency_weights(*count_pixels(dataset))
        shown = ", ".join(f"{name} {weight:.3g}" for name, weight in zip(names, weights, strict=True))
        print(f"class weights (median frequency): {shown}", file=sys.stderr)
        return weights

    if spec == "cityscapes":
        if names != LABEL_SPACE.names:
            raise SegkdError(
                "train.class_weights: cityscapes is for the 19 classes of Cityscapes, the data have other ones; "
                "use auto, or give a list"
            )
        return CITYSCAPES_WEIGHTS

    if isinstance(spec, str):
        raise SegkdError(f"train.class_weights: expected auto, cityscapes or a list of numbers, got {spec!r}")
    if len(spec) != len(names):
        raise SegkdError(f"train.class_weights: {len(spec)} weights for {len(names)} classes; give one for each")
    if not all(math.isfinite(weight) and weight >= 0 for weight in spec) or not any(spec):
        raise SegkdError(f"train.class_weights: expected numbers of at least 0, one of them above 0, got {list(spec)}")
    return tuple(float(weight) for weight in spec)


def count_pixels(dataset: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read every mask once.

    Returns:
        For each class its pixels, and the labelled pixels of the images that it occurs in; int64 (K,) both.
    """
    classes = dataset.labels.num_classes
    own, around = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    for index in range(len(dataset)):
        counts = np.bincount(dataset.read_mask(index).ravel(), minlength=classes)[:classes]
        own += counts
        around += np.where(counts > 0, counts.sum(), 0)
    return own, around


def median_frequency_weights(own: NDArray[np.int64], around: NDArray[np.int64]) -> tuple[float, ...]:
    """Median frequency balancing: the median of the classes' frequencies over the class's own.

    A class's frequency is its share of the labelled pixels in the images that it occurs in. A class that never occurs
    has weight 1, which nothing uses.

    Source: Eigen and Fergus, ICCV 2015, section 6.3.2.

    Args:
        own: pixels of each class, (K,).
        around: labelled pixels of the images that the class occurs in, (K,).

    Raises:
        SegkdError: if no class occurs.
    """
    present = own > 0
    if not present.any():
        raise SegkdError("train.class_weights: auto needs masks with labelled pixels, and there are none")
    frequency = own[present] / around[present]
    weights = np.ones(len(own))
    weights[present] = np.median(frequency) / frequency
    return tuple(float(weight) for weight in weights)
