from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from segkd.errors import SegkdError
from segkd.metrics import Trimap, scores
from tests.core.metrics.maps import CLASSES, predictions, regions, truths


def brute_force(prediction: np.ndarray, truth: np.ndarray, width_px: int, *, void_borders: bool) -> np.ndarray:
    """Pixel by pixel: is another label inside the window?"""
    counts = np.zeros((CLASSES, CLASSES + 1), np.int64)
    height, width = truth.shape
    for y in range(height):
        for x in range(width):
            if truth[y, x] == 255:
                continue
            window = truth[max(0, y - width_px) : y + width_px + 1, max(0, x - width_px) : x + width_px + 1]
            others = window[window != truth[y, x]]
            if not void_borders:
                others = others[others != 255]
            if others.size:
                counts[truth[y, x], min(prediction[y, x], CLASSES)] += 1
    return counts


@settings(max_examples=15)
@given(predictions, truths)
def test_agrees_with_brute_force_on_noise(prediction: np.ndarray, truth: np.ndarray) -> None:
    for void_borders in (True, False):
        trimap = Trimap(CLASSES, (1, 3), void_borders=void_borders)
        trimap.update(prediction, truth)
        for width_px in (1, 3):
            expected = brute_force(prediction, truth, width_px, void_borders=void_borders)
            np.testing.assert_array_equal(trimap.counts(width_px), expected)


def test_agrees_with_brute_force_on_regions_summed_over_images() -> None:
    trimap, expected = Trimap(CLASSES, (2, 5)), np.zeros((2, CLASSES, CLASSES + 1), np.int64)
    for seed in range(2):
        truth, prediction = regions(seed), np.minimum(np.roll(regions(seed), 2, axis=1), 3)
        trimap.update(prediction, truth)
        expected += [brute_force(prediction, truth, width_px, void_borders=True) for width_px in (2, 5)]
    np.testing.assert_array_equal([trimap.counts(2), trimap.counts(5)], expected)


def test_by_hand() -> None:
    truth = np.array([[0, 0, 0, 0, 1, 1, 1, 1]], np.uint8)
    prediction = np.array([[0, 0, 0, 1, 1, 1, 1, 0]], np.uint8)
    trimap = Trimap(2, (3, 1))
    trimap.update(prediction, truth)
    assert trimap.widths_px == (1, 3)
    # Width 1: one pixel on each side, the left one wrong. Width 3: three on each side; the last pixel is beyond.
    assert scores(trimap.counts(1)).iou == [0.0, 0.5]
    assert scores(trimap.counts(3)).iou == [2 / 3, 3 / 4]


def test_without_void_borders_a_lonely_region_has_no_boundary() -> None:
    truth = np.full((6, 6), 255, np.uint8)
    truth[2:4, 2:4] = 1
    for void_borders, pixels in ((True, 4), (False, 0)):
        trimap = Trimap(2, (1,), void_borders=void_borders)
        trimap.update(np.ones_like(truth), truth)
        assert trimap.counts(1).sum() == pixels


def test_bad_input() -> None:
    for widths in ((), (0, 1)):
        with pytest.raises(SegkdError, match="widths of at least 1 pixel"):
            Trimap(2, widths)
    with pytest.raises(SegkdError, match=r"no trimap of 2 px was counted; there are 1, 3"):
        Trimap(2, (1, 3)).counts(2)
    with pytest.raises(SegkdError, match=r"prediction has shape \(2, 3\), its target \(3, 2\)"):
        Trimap(2, (1,)).update(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
