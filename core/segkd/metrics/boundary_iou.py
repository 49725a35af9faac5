"""Boundary IoU: the IoU of the inner edges of truth and prediction."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError
from segkd.metrics.boundary import boundary_band
from segkd.metrics.confusion import check_shapes
from segkd.metrics.scores import Areas


class BoundaryIoU:
    """Areas of Boundary IoU per class, summed over the set (Cheng et al., CVPR 2021, equation 2).

    The inner edge of a class holds its pixels within d of a pixel that is not of the class; what lies outside the
    picture is none. d is ``ratio`` times the picture's diagonal, rounded, at least 1. Intersection and union of the
    inner edges of truth and prediction are summed over the set, then divided, then averaged over the classes.

    Differs from the original (bowenc0221/boundary-iou-api, ``mask_to_boundary``), which knows instances: here a class
    is one region, and the prediction counts as ignored where the truth is, so that a prediction that is right
    everywhere has Boundary IoU 1. All classes are counted in one pass: the inner edges of a label map are disjoint.

    Args:
        num_classes: number of classes, K.
        ratio: d / diagonal; the original takes 0.02 for COCO and LVIS, 0.005 for Cityscapes. Publish it.
        ignore: value of the truth that is not scored.

    Attributes:
        areas: sums so far; ``scores(areas)`` makes numbers of them.
        widths_px: every d that occurred.

    Raises:
        SegkdError: for a ratio that is not above 0 and below 1.
    """

    def __init__(self, num_classes: int, ratio: float = 0.02, *, ignore: int = 255) -> None:
        if not 0 < ratio < 1:
            raise SegkdError(f"the ratio of Boundary IoU is a share of the diagonal, above 0 and below 1, got {ratio}")
        self.num_classes, self.ratio, self.ignore = num_classes, ratio, ignore
        zeros = np.zeros(num_classes, np.int64)
        self.areas = Areas(zeros, zeros.copy(), zeros.copy())
        self.widths_px: set[int] = set()

    def update(self, prediction: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
        """Count one image.

        Args:
            prediction: uint8 (H, W).
            target: uint8 (H, W), each a class or the ignored value.

        Raises:
            SegkdError: for other types or shapes.
        """
        check_shapes(prediction, target, maps=True)
        width_px = edge_width_px(target.shape, self.ratio)
        self.widths_px.add(width_px)
        scored = target != self.ignore
        prediction = np.where(scored, prediction, np.uint8(255))
        truth_edge = inner_edge(target, width_px) & scored
        predicted_edge = inner_edge(prediction, width_px) & scored
        hits = target[truth_edge & predicted_edge & (prediction == target)]
        for total, found in zip(self.areas, (hits, target[truth_edge], prediction[predicted_edge]), strict=True):
            total += np.bincount(found, minlength=256)[: self.num_classes]


def edge_width_px(shape: tuple[int, ...], ratio: float) -> int:
    """The d of a picture of a size (height, width)."""
    return max(1, round(ratio * math.hypot(*shape)))


def inner_edge(labels: NDArray[np.uint8], width_px: int) -> NDArray[np.bool_]:
    """Pixels within ``width_px`` rows and columns of another label or of the picture's outside; bool (H, W)."""
    edge = boundary_band(labels, width_px)
    edge[:width_px], edge[-width_px:] = True, True
    edge[:, :width_px], edge[:, -width_px:] = True, True
    return edge
