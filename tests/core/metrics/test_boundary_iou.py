from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import ndimage

from segkd.errors import SegkdError
from segkd.metrics import BoundaryIoU, scores
from segkd.metrics.boundary_iou import edge_width_px, inner_edge
from tests.core.metrics.maps import CLASSES, predictions, regions, truths


def original_edge(region: np.ndarray, width_px: int) -> np.ndarray:
    """As the original does it: pad by a pixel, erode by 3x3 as often as the edge is wide, take the rest."""
    padded = np.pad(region, 1)
    eroded = ndimage.binary_erosion(padded, np.ones((3, 3)), iterations=width_px)[1:-1, 1:-1]
    return region & ~eroded


def brute_force(prediction: np.ndarray, truth: np.ndarray, width_px: int) -> np.ndarray:
    """Intersection and union per class."""
    scored, rows = truth != 255, []
    for index in range(CLASSES):
        true_edge = original_edge(truth == index, width_px)
        found_edge = original_edge((prediction == index) & scored, width_px)
        rows.append([(true_edge & found_edge).sum(), (true_edge | found_edge).sum()])
    return np.array(rows)


def counted(measure: BoundaryIoU) -> np.ndarray:
    hits, labelled, predicted = measure.areas
    return np.stack([hits, labelled + predicted - hits], axis=1)


@settings(max_examples=15)
@given(predictions, truths)
def test_agrees_with_the_original_per_class_on_noise(prediction: np.ndarray, truth: np.ndarray) -> None:
    for ratio in (0.02, 0.12):
        measure = BoundaryIoU(CLASSES, ratio)
        measure.update(prediction, truth)
        (width_px,) = measure.widths_px
        np.testing.assert_array_equal(counted(measure), brute_force(prediction, truth, width_px))


def test_agrees_with_the_original_on_regions_summed_over_images() -> None:
    measure, expected = BoundaryIoU(CLASSES, 0.05), np.zeros((CLASSES, 2), np.int64)
    for seed in range(3):
        truth, prediction = regions(seed), np.roll(regions(seed), 2, axis=0) % 4
        measure.update(prediction, truth)
        expected += brute_force(prediction, truth, 3)
    assert measure.widths_px == {3}
    np.testing.assert_array_equal(counted(measure), expected)
    assert scores(measure.areas).iou == pytest.approx(expected[:, 0] / expected[:, 1], abs=1e-15)


def test_by_hand() -> None:
    # A full picture of one class, 5x5: the edge of width 1 is its rim of 16 pixels, one of them predicted otherwise.
    truth, prediction = np.zeros((5, 5), np.uint8), np.zeros((5, 5), np.uint8)
    prediction[0, 0] = 1
    measure = BoundaryIoU(2, 0.02)
    measure.update(prediction, truth)
    # Class 0: 15 common; the prediction's edge gains (1, 1), whose neighbour is now another class: union 17.
    assert scores(measure.areas).iou == [15 / 17, 0.0]


def test_a_prediction_that_is_right_everywhere_has_one() -> None:
    truth = regions(4)
    measure = BoundaryIoU(CLASSES, 0.03)
    measure.update(np.where(truth == 255, np.uint8(1), truth), truth)
    assert scores(measure.areas).iou == [1.0] * CLASSES


def test_widths() -> None:
    assert edge_width_px((1024, 2048), 0.02) == round(0.02 * math.hypot(1024, 2048)) == 46
    assert edge_width_px((1024, 2048), 0.005) == 11
    assert edge_width_px((10, 10), 0.02) == 1
    assert inner_edge(np.zeros((3, 3), np.uint8), 9).all()


def test_bad_input() -> None:
    for ratio in (0, 1, -0.1):
        with pytest.raises(SegkdError, match="above 0 and below 1"):
            BoundaryIoU(2, ratio)
    with pytest.raises(SegkdError, match="they must be equal"):
        BoundaryIoU(2).update(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
