"""Boundary F: do the contours of truth and prediction lie within a few pixels of each other?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError
from segkd.metrics.boundary import boundary_band
from segkd.metrics.confusion import check_shapes
from segkd.metrics.scores import mean_of_defined


@dataclass(frozen=True)
class BoundaryFScores:
    """Per class, nan where not defined.

    Attributes:
        mean: mean of ``f`` over the classes that have one.
        f: harmonic mean of precision and recall.
        precision: share of the predicted contour within theta of the true one.
        recall: share of the true contour within theta of the predicted one.
    """

    mean: float
    f: list[float]
    precision: list[float]
    recall: list[float]


class BoundaryF:
    """Contour pixels per class that find the other contour within theta, summed over the set.

    After Csurka et al. (BMVC 2013, "What is a good evaluation measure for semantic segmentation?") and DAVIS
    (Perazzi et al. 2016). The contour of a class holds its pixels with another label among their 8 neighbours; the
    picture's frame is none. Distances are Euclidean, between pixel centres.

    Differs from the originals: pixels are summed over the set before dividing (there, F is averaged over images), and
    the prediction counts as ignored where the truth is. A class with a contour on one side only has F 0; one without
    any has none.

    Args:
        num_classes: number of classes, K.
        theta_px: largest distance that counts as found, at least 1. Publish it.
        ignore: value of the truth that is not scored.

    Raises:
        SegkdError: for a distance below 1.
    """

    def __init__(self, num_classes: int, theta_px: float = 3, *, ignore: int = 255) -> None:
        if not theta_px >= 1:
            raise SegkdError(f"the distance of boundary F is at least 1 pixel, got {theta_px}")
        self.num_classes, self.theta_px, self.ignore = num_classes, theta_px, ignore
        offsets = np.arange(-int(theta_px), int(theta_px) + 1)
        self._disk = (offsets[:, None] ** 2 + offsets**2 <= theta_px**2).astype(np.uint8)
        # Rows: predicted contour found and in all, true contour found and in all.
        self._pixels = np.zeros((4, num_classes), np.int64)

    def update(self, prediction: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
        """Count one image.

        Args:
            prediction: uint8 (H, W).
            target: uint8 (H, W), each a class or the ignored value.

        Raises:
            SegkdError: for other types or shapes.
        """
        check_shapes(prediction, target, maps=True)
        prediction = np.where(target != self.ignore, prediction, np.uint8(255))
        contours = [np.where(boundary_band(labels, 1), labels, np.uint8(255)) for labels in (prediction, target)]
        present = np.flatnonzero(sum(np.bincount(contour.ravel(), minlength=256) for contour in contours))
        for index in present[present < min(self.num_classes, self.ignore)]:
            self._count(int(index), *((contour == index).view(np.uint8) for contour in contours))

    def _count(self, index: int, predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
        left, top, width, height = cv2.boundingRect(predicted | truth)
        window = (slice(top, top + height), slice(left, left + width))
        predicted, truth = predicted[window], truth[window]
        found = (self._found(predicted, truth), self._found(truth, predicted))
        self._pixels[:, index] += np.array(
            [found[0], np.count_nonzero(predicted), found[1], np.count_nonzero(truth)], np.int64
        )

    def _found(self, contour: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
        """Pixels of a contour within theta of the other."""
        if not other.any() or not contour.any():
            return 0
        return int(np.count_nonzero(cv2.dilate(other, self._disk) & contour))

    def scores(self) -> BoundaryFScores:
        """Precision, recall and F of what was counted."""
        predicted_found, predicted, truth_found, truth = self._pixels.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision, recall = predicted_found / predicted, truth_found / truth
            f = 2 * precision * recall / (precision + recall)
        f[(predicted + truth > 0) & ~(f > 0)] = 0.0
        f[predicted + truth == 0] = math.nan
        return BoundaryFScores(float(mean_of_defined(f)), f.tolist(), precision.tolist(), recall.tolist())
