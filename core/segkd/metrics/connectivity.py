"""Connectivity: does the prediction keep objects in one piece, and does it invent others?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.metrics.confusion import check_shapes
from segkd.metrics.scores import mean_of_defined

_TRUE, _PREDICTED, _TOUCHED, _FRAGMENTED, _SHARE, _SPURIOUS = range(6)


@dataclass(frozen=True)
class ConnectivityScores:
    """Per class, nan where not defined.

    Attributes:
        images: images counted.
        true_components: components of the class in the truth.
        predicted_components: components of the class in the prediction.
        count_error: |predicted - true components| / max(1, true components); nan for a class that is nowhere.
        fragmented: share of the true components that more than one predicted component of the class covers.
        largest_share: mean over the true components that are found at all of (their overlap with the predicted
            component that covers most of them) / (their whole overlap with the class); 1 = in one piece.
        missed: share of the true components that no predicted component of the class touches.
        spurious_per_image: predicted components that touch no pixel of the class in the truth, per image.
    """

    images: int
    true_components: list[int]
    predicted_components: list[int]
    count_error: list[float]
    fragmented: list[float]
    largest_share: list[float]
    missed: list[float]
    spurious_per_image: list[float]

    def means(self) -> dict[str, float]:
        """Every measure's mean over the classes that have one."""
        measures = ("count_error", "fragmented", "largest_share", "missed", "spurious_per_image")
        return {name: float(mean_of_defined(np.array(getattr(self, name)))) for name in measures}


class Connectivity:
    """Connected components (8 neighbours) of each class in truth and prediction, counted over the set.

    The literature on edges and connectivity gives no measure for it; these are the project's own, defined in
    :class:`ConnectivityScores`. The prediction counts as ignored where the truth is.

    Args:
        num_classes: number of classes, K.
        ignore: value of the truth that is not scored.
    """

    def __init__(self, num_classes: int, *, ignore: int = 255) -> None:
        self.num_classes, self.ignore = num_classes, ignore
        self.images = 0
        # Whole numbers but for the shares; float64 counts components exactly.
        self._sums = np.zeros((6, num_classes))

    def update(self, prediction: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
        """Count one image.

        Args:
            prediction: uint8 (H, W).
            target: uint8 (H, W), each a class or the ignored value.

        Raises:
            SegkdError: for other types or shapes.
        """
        check_shapes(prediction, target, maps=True)
        self.images += 1
        prediction = np.where(target != self.ignore, prediction, np.uint8(255))
        present = np.flatnonzero(sum(np.bincount(labels.ravel(), minlength=256) for labels in (prediction, target)))
        for index in present[present < min(self.num_classes, self.ignore)]:
            self._sums[:, index] += _count(*((labels == index).view(np.uint8) for labels in (prediction, target)))

    def scores(self) -> ConnectivityScores:
        """The measures of what was counted."""
        sums = self._sums
        nowhere = sums[_TRUE] + sums[_PREDICTED] == 0
        error = np.abs(sums[_PREDICTED] - sums[_TRUE]) / np.maximum(1, sums[_TRUE])
        spurious = sums[_SPURIOUS] / self.images if self.images else np.full(self.num_classes, math.nan)
        return ConnectivityScores(
            images=self.images,
            true_components=sums[_TRUE].astype(int).tolist(),
            predicted_components=sums[_PREDICTED].astype(int).tolist(),
            count_error=np.where(nowhere, math.nan, error).tolist(),
            fragmented=_ratio(sums[_FRAGMENTED], sums[_TRUE]),
            largest_share=_ratio(sums[_SHARE], sums[_TOUCHED]),
            missed=_ratio(sums[_TRUE] - sums[_TOUCHED], sums[_TRUE]),
            spurious_per_image=np.where(nowhere, math.nan, spurious).tolist(),
        )


def _count(predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The sums of one class in one image."""
    left, top, width, height = cv2.boundingRect(predicted | truth)
    window = (slice(top, top + height), slice(left, left + width))
    num_predicted, predicted_ids = cv2.connectedComponents(predicted[window], connectivity=8)
    num_true, true_ids = cv2.connectedComponents(truth[window], connectivity=8)

    # How many pixels each true component shares with each predicted one.
    both = (predicted[window] & truth[window]) != 0
    pairs, overlaps = np.unique(
        true_ids[both].astype(np.int64) * num_predicted + predicted_ids[both], return_counts=True
    )
    owners, partners = pairs // num_predicted, pairs % num_predicted

    # Per true component: pieces, all of its overlap, the largest overlap.
    pieces = np.bincount(owners, minlength=num_true)
    whole = np.bincount(owners, weights=overlaps, minlength=num_true)
    largest = np.zeros(num_true)
    np.maximum.at(largest, owners, overlaps)
    touched = pieces > 0

    sums = np.zeros(6)
    sums[_TRUE], sums[_PREDICTED] = num_true - 1, num_predicted - 1
    sums[_TOUCHED], sums[_FRAGMENTED] = touched.sum(), (pieces > 1).sum()
    sums[_SHARE] = (largest[touched] / whole[touched]).sum()
    sums[_SPURIOUS] = num_predicted - 1 - len(np.unique(partners))
    return sums


def _ratio(parts: NDArray[Any], wholes: NDArray[Any]) -> list[float]:
    values: list[float] = np.divide(parts, wholes, out=np.full(wholes.shape, math.nan), where=wholes > 0).tolist()
    return values
