from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import ndimage

from segkd.errors import SegkdError
from segkd.metrics import BoundaryF
from tests.core.metrics.maps import CLASSES, predictions, regions, truths


def contour(labels: np.ndarray, index: int) -> np.ndarray:
    """Pixels of a class with a neighbour (of 8) of another label inside the picture."""
    region = labels == index
    return region & ~ndimage.binary_erosion(region, np.ones((3, 3)), border_value=1)


def brute_force(prediction: np.ndarray, truth: np.ndarray, theta_px: float) -> list[float]:
    """F per class of one image, by Euclidean distance transforms."""
    masked, values = np.where(truth == 255, 255, prediction), []
    for index in range(CLASSES):
        found, true = contour(masked, index), contour(truth, index)
        if not found.any() and not true.any():
            values.append(math.nan)
            continue
        if not found.any() or not true.any():
            values.append(0.0)
            continue
        precision = (ndimage.distance_transform_edt(~true)[found] <= theta_px).mean()
        recall = (ndimage.distance_transform_edt(~found)[true] <= theta_px).mean()
        values.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return values


def f_of(prediction: np.ndarray, truth: np.ndarray, theta_px: float) -> list[float]:
    measure = BoundaryF(CLASSES, theta_px)
    measure.update(prediction, truth)
    return measure.scores().f


@settings(max_examples=15)
@given(predictions, truths)
def test_agrees_with_distance_transforms_on_noise(prediction: np.ndarray, truth: np.ndarray) -> None:
    np.testing.assert_allclose(f_of(prediction, truth, 1), brute_force(prediction, truth, 1), rtol=1e-12)


@pytest.mark.parametrize("theta_px", [1, 1.5, 2, 5])
def test_agrees_with_distance_transforms_on_regions(theta_px: float) -> None:
    truth = regions(0)
    prediction = np.roll(truth, (1, 2), axis=(0, 1)) % 4
    np.testing.assert_allclose(f_of(prediction, truth, theta_px), brute_force(prediction, truth, theta_px), rtol=1e-12)


def test_by_hand() -> None:
    # A vertical border that is predicted two columns to the right: within 2 pixels it is found, within 1 it is not.
    truth, prediction = np.zeros((6, 10), np.uint8), np.zeros((6, 10), np.uint8)
    truth[:, 4:], prediction[:, 6:] = 1, 1
    assert f_of(prediction, truth, 1)[:2] == [0.0, 0.0]
    assert f_of(prediction, truth, 2)[:2] == [1.0, 1.0]


def test_pixels_are_summed_over_images() -> None:
    # One image with a contour of 6 that is found, one with a contour of 2 that is not.
    truth = np.zeros((6, 10), np.uint8)
    truth[:, 4:] = 1
    small = np.zeros((2, 10), np.uint8)
    small[:, 4:] = 1
    measure = BoundaryF(2, 1)
    measure.update(truth, truth)
    measure.update(np.zeros_like(small), small)
    found = measure.scores()
    assert found.recall == [6 / 8, 6 / 8] and found.precision == [1.0, 1.0]
    assert found.f == pytest.approx([12 / 14] * 2) and found.mean == pytest.approx(12 / 14)


def test_a_class_without_contours_has_none() -> None:
    measure = BoundaryF(2, 1)
    measure.update(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8))
    found = measure.scores()
    assert all(math.isnan(value) for value in [found.mean, *found.f, *found.precision, *found.recall])


def test_bad_input() -> None:
    for theta_px in (0.5, math.nan):
        with pytest.raises(SegkdError, match="at least 1 pixel"):
            BoundaryF(2, theta_px)
    with pytest.raises(SegkdError, match="they must be equal"):
        BoundaryF(2).update(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
