from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from segkd.errors import SegkdError
from segkd.metrics import boundary_band


def test_by_hand() -> None:
    mask = np.array([[0, 0, 0, 1, 1, 1]] * 3, np.uint8)
    assert boundary_band(mask, 1).tolist() == [[False, False, True, True, False, False]] * 3
    assert boundary_band(mask, 2).tolist() == [[False, True, True, True, True, False]] * 3


def test_diagonal_neighbours_count() -> None:
    mask = np.zeros((5, 5), np.uint8)
    mask[2, 2] = 9
    band = boundary_band(mask, 1)
    assert band[1:4, 1:4].all()
    assert band.sum() == 9


def test_ignored_pixels_are_a_region_and_the_frame_is_no_boundary() -> None:
    mask = np.zeros((4, 8), np.uint8)
    assert not boundary_band(mask, 3).any()
    mask[:, 4:] = 255
    assert boundary_band(mask, 1)[:, 3:5].all()


masks = arrays(np.uint8, (9, 12), elements=st.sampled_from([0, 1, 2, 255]))


@settings(max_examples=25)
@given(masks, st.integers(1, 3))
def test_equals_the_union_over_classes(mask: np.ndarray, width_px: int) -> None:
    window = np.ones((2 * width_px + 1, 2 * width_px + 1), bool)
    union = np.zeros(mask.shape, bool)
    for value in np.unique(mask):
        region = mask == value
        union |= ndimage.binary_dilation(region, window) ^ ndimage.binary_erosion(region, window, border_value=1)
    assert (boundary_band(mask, width_px) == union).all()


@settings(max_examples=25)
@given(masks)
def test_wider_bands_contain_narrower_ones(mask: np.ndarray) -> None:
    assert (boundary_band(mask, 2) | ~boundary_band(mask, 1)).all()


@settings(max_examples=25)
@given(masks)
def test_class_numbers_do_not_matter(mask: np.ndarray) -> None:
    table = np.zeros(256, np.uint8)
    table[[0, 1, 2, 255]] = [7, 0, 255, 3]
    assert (boundary_band(mask, 1) == boundary_band(table[mask], 1)).all()


@settings(max_examples=25)
@given(masks)
def test_a_neutral_value_makes_no_boundary(mask: np.ndarray) -> None:
    band = boundary_band(mask, 1, neutral=255)
    height, width = mask.shape
    for y in range(height):
        for x in range(width):
            window = mask[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            assert band[y, x] == (np.unique(window[window != 255]).size > 1)


def test_bad_input() -> None:
    with pytest.raises(SegkdError, match="at least 1 pixel, got 0"):
        boundary_band(np.zeros((2, 2), np.uint8), 0)
    with pytest.raises(SegkdError, match=r"got int64 \(2, 2\)"):
        boundary_band(np.zeros((2, 2), np.int64), 1)  # type: ignore[arg-type]
    with pytest.raises(SegkdError, match=r"got uint8 \(1, 2, 2\)"):
        boundary_band(np.zeros((1, 2, 2), np.uint8), 1)
