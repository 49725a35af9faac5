from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import ndimage

from segkd.errors import SegkdError
from segkd.metrics import Connectivity
from tests.core.metrics.maps import CLASSES, predictions, truths


def measured(*pairs: tuple[np.ndarray, np.ndarray], classes: int = 2) -> dict[str, list[float]]:
    measure = Connectivity(classes)
    for prediction, truth in pairs:
        measure.update(prediction, truth)
    return vars(measure.scores())


def test_a_pole_that_breaks_in_two_and_a_ghost() -> None:
    truth = np.zeros((12, 12), np.uint8)
    truth[1:9, 3] = 1
    prediction = truth.copy()
    prediction[4, 3] = 0  # pieces of 3 and 4 pixels
    prediction[10, 9:11] = 1  # touches nothing
    found = measured((prediction, truth))
    assert found["true_components"] == [1, 1] and found["predicted_components"] == [1, 3]
    assert found["count_error"] == [0.0, 2.0] and found["fragmented"] == [0.0, 1.0]
    assert found["largest_share"] == [1.0, 4 / 7] and found["missed"] == [0.0, 0.0]
    assert found["spurious_per_image"] == [0.0, 1.0]


def test_diagonal_neighbours_are_connected() -> None:
    truth = np.eye(6, dtype=np.uint8)
    assert measured((truth, truth))["true_components"] == [1, 1]


def test_a_missed_object_and_a_set_of_two_images() -> None:
    truth = np.zeros((5, 9), np.uint8)
    truth[2, 1] = truth[2, 7] = 1
    one = np.zeros_like(truth)
    one[2, 1] = 1
    found = measured((one, truth), (truth, truth))
    assert found["images"] == 2 and found["true_components"][1] == 4
    assert found["missed"][1] == 1 / 4 and found["count_error"][1] == 1 / 4 and found["largest_share"][1] == 1.0


def test_predictions_on_ignored_pixels_do_not_count() -> None:
    truth = np.zeros((5, 9), np.uint8)
    truth[:, 6:] = 255
    prediction = np.zeros_like(truth)
    prediction[2, 8] = 1
    found = measured((prediction, truth))
    assert found["predicted_components"] == [1, 0]
    assert math.isnan(found["count_error"][1]) and math.isnan(found["spurious_per_image"][1])


@settings(max_examples=20)
@given(predictions, truths)
def test_agrees_with_scipy(prediction: np.ndarray, truth: np.ndarray) -> None:
    found = measured((prediction, truth), classes=CLASSES)
    for index in range(CLASSES):
        true, num_true = ndimage.label(truth == index, np.ones((3, 3)))
        own, num_own = ndimage.label((prediction == index) & (truth != 255), np.ones((3, 3)))
        pieces = [np.unique(own[(true == i) & (own > 0)]).size for i in range(1, num_true + 1)]
        spurious = sum(not (true[own == i] > 0).any() for i in range(1, num_own + 1))
        assert (found["true_components"][index], found["predicted_components"][index]) == (num_true, num_own)
        if num_true:
            assert found["fragmented"][index] == pytest.approx(np.mean([count > 1 for count in pieces]))
            assert found["missed"][index] == pytest.approx(np.mean([count == 0 for count in pieces]))
        if num_true + num_own:
            assert found["spurious_per_image"][index] == spurious
        shares = []
        for i in range(1, num_true + 1):
            overlaps = np.unique(own[(true == i) & (own > 0)], return_counts=True)[1]
            shares += [overlaps.max() / overlaps.sum()] if overlaps.size else []
        if shares:
            assert found["largest_share"][index] == pytest.approx(np.mean(shares))


def test_means_skip_classes_that_are_nowhere() -> None:
    truth = np.zeros((4, 4), np.uint8)
    measure = Connectivity(2)
    measure.update(truth, truth)
    assert measure.scores().means() == {
        "count_error": 0.0,
        "fragmented": 0.0,
        "largest_share": 1.0,
        "missed": 0.0,
        "spurious_per_image": 0.0,
    }


def test_bad_input() -> None:
    with pytest.raises(SegkdError, match="two maps"):
        Connectivity(2).update(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
