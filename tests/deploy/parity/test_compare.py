from __future__ import annotations

import math

import numpy as np
import pytest

from segkd.data.remarks import MIN_INTERVAL_IMAGES
from segkd.metrics import bootstrap_deltas
from segkd_deploy.gates.values import worst_class
from segkd_deploy.parity.compare import (
    MARGIN_EPS,
    Frames,
    areas_per_frame,
    compare_labels,
    compare_logits,
    count_flips,
)
from segkd_deploy.reference import as_recorded


def test_flips_are_split_by_place_and_margin() -> None:
    source = np.zeros((1, 9, 12), np.uint8)
    source[:, :, 6:] = 1  # a boundary between columns 5 and 6: within 2 px are columns 4 to 7
    margins = np.full(source.shape, 0.5, np.float16)
    labels = source.copy()
    labels[0, 4, [0, 3, 4, 7, 8]] = 2
    margins[0, 4, [0, 4]] = MARGIN_EPS / 2
    margins[0, 4, 8] = 2.0
    assert count_flips(labels, source, margins) == {
        "total": 5,
        "interior": 3,
        "boundary": 2,
        "decided": 3,
        "by_margin": {"0.01": 3, "0.1": 3, "1": 1},
    }


def test_labels_by_hand() -> None:
    truth = np.array([[[0, 0, 1, 1]], [[0, 1, 1, 255]]], np.uint8)
    before = np.array([[[0, 0, 1, 1]], [[0, 1, 1, 1]]], np.uint8)
    labels = np.array([[[0, 1, 1, 1]], [[0, 1, 1, 0]]], np.uint8)
    frames = Frames(truth, np.ones(truth.shape, np.float16), ["a", "b"])
    found = compare_labels(labels, before, frames)
    assert found["agreement"] == 6 / 8
    # Class a: 2 of 3 pixels; class b: 4 hits, 5 in the union. The last pixel is ignored.
    assert found["miou"]["after"] == pytest.approx((2 / 3 + 4 / 5) / 2) and found["miou"]["before"] == 1.0
    assert found["per_class_delta"]["a"]["delta"] == pytest.approx(-1 / 3)
    # Two frames give no interval; these draws would: the second frame twice loses nothing, the first (1/2 + 2/3) / 2.
    assert all(map(math.isnan, found["miou"]["interval"]))
    areas = [areas_per_frame(maps, truth, 2) for maps in (before, labels)]
    assert bootstrap_deltas(*areas).miou == (pytest.approx(-5 / 12), 0.0)
    # Against the labels before, the ignored pixel counts as well: a 2/4, b 4/6.
    assert found["self_miou"]["value"] == pytest.approx((2 / 4 + 4 / 6) / 2)


@pytest.mark.parametrize(("count", "given"), [(MIN_INTERVAL_IMAGES - 1, False), (MIN_INTERVAL_IMAGES, True)])
def test_intervals_from_enough_frames(count: int, given: bool) -> None:
    truth = np.tile(np.array([[[0, 0, 1, 1]]], np.uint8), (count, 1, 1))
    found = compare_labels(truth, truth, Frames(truth, np.ones(truth.shape, np.float16), ["a", "b"]))
    assert (found["miou"]["interval"] == [0.0, 0.0]) == given
    assert found["self_miou"]["interval"] == [1.0, 1.0]


def test_what_a_letterbox_added_does_not_count() -> None:
    truth = np.zeros((1, 4, 6), np.uint8)
    frames = Frames(truth, np.ones(truth.shape, np.float16), ["a", "b"], (1, 2, 2, 3))
    labels = np.arange(24, dtype=np.uint8).reshape(1, 4, 6)
    assert frames.cut(labels).tolist() == [[[8, 9, 10], [14, 15, 16]]]
    assert Frames(truth, frames.margins, ["a"]).cut(labels) is labels


def test_logits_by_hand() -> None:
    source = np.array([[[[3.0, 0.0]]], [[[0.0, 4.0]]]], np.float16)
    other = np.array([[[[3.0, 0.0]]], [[[3.0, 0.0]]]], np.float32)
    found = compare_logits(other, source)
    assert found["relative_l2"] == pytest.approx(math.sqrt(25 / 25)) and found["cosine_min"] == 0.0
    assert found["cosine"] == pytest.approx(9 / (5 * math.sqrt(18)))
    same = compare_logits(source, source)
    assert (same["finite"], same["relative_l2"], same["cosine"]) == (True, 0.0, pytest.approx(1.0))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_not_finite(bad: float) -> None:
    found = compare_logits(np.full((1, 1, 1, 1), bad, np.float32), np.ones((1, 1, 1, 1), np.float16))
    assert found == {"finite": False, "relative_l2": None, "cosine": None, "cosine_min": None}


def test_rounding_noise_does_not_count() -> None:
    logits = np.random.default_rng(0).normal(0, 5, (2, 3, 8, 8)).astype(np.float32)
    recorded = as_recorded(logits)
    assert compare_logits(logits * np.float32(1 + 1e-6), recorded)["relative_l2"] < 1e-4
    assert as_recorded(np.array([1e9, -1e9], np.float32)).tolist() == [65504.0, -65504.0]


def test_the_worst_class_is_excused_by_its_interval() -> None:
    parts = {
        "seen often": {"delta": -0.01, "interval": (-0.02, -0.008)},
        "seen once": {"delta": -0.2, "interval": (-0.4, 0.0)},
        "nowhere": {"delta": math.nan, "interval": (math.nan, math.nan)},
    }
    assert worst_class(parts) == ("seen often", -0.008)
    assert worst_class({"nowhere": parts["nowhere"]}) is None
    assert worst_class({"better": {"delta": 0.1, "interval": (0.05, 0.2)}}) == ("better", 0.0)
