from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, jaccard_score, recall_score

from segkd.errors import SegkdError
from segkd.metrics import Areas, ConfusionMatrix, areas, scores
from segkd.metrics.scores import ratios


def matrix(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.int64)


def test_by_hand() -> None:
    # Class 0: 3 of 4 found, 1 false alarm: IoU 3/5. Class 1: 4 of 6 found (1 taken for 0, 1 for nothing), 1 false: 4/7.
    result = scores(matrix([3, 1, 0], [1, 4, 1]))
    assert result.iou == [3 / 5, 4 / 7]
    assert result.acc == [3 / 4, 4 / 6]
    assert result.miou == pytest.approx((3 / 5 + 4 / 7) / 2, abs=1e-15)
    assert result.macc == pytest.approx((3 / 4 + 4 / 6) / 2, abs=1e-15)
    assert result.aacc == 7 / 10


def test_a_class_that_is_nowhere_is_skipped() -> None:
    result = scores(matrix([2, 0, 0, 0], [0, 0, 0, 0], [2, 0, 4, 0]))
    assert math.isnan(result.iou[1])
    assert math.isnan(result.acc[1])
    assert result.miou == pytest.approx((2 / 4 + 4 / 6) / 2)
    assert result.macc == pytest.approx((1 + 4 / 6) / 2)


def test_a_class_that_is_only_predicted_has_iou_zero_and_no_accuracy() -> None:
    result = scores(matrix([3, 1, 0], [0, 0, 0]))
    assert result.iou == [3 / 4, 0.0]
    assert math.isnan(result.acc[1])
    assert result.miou == 3 / 8
    assert result.macc == 3 / 4


def test_predictions_outside_are_misses_and_no_false_alarms() -> None:
    result = scores(matrix([1, 0, 3], [0, 2, 0]))
    assert result.iou == [1 / 4, 1.0]
    assert result.acc == [1 / 4, 1.0]
    assert result.aacc == 3 / 6


def test_cirkd_counts_a_class_that_is_nowhere_as_zero() -> None:
    counts = matrix([2, 0, 0, 0], [0, 0, 0, 0], [2, 0, 4, 0])
    result = scores(counts, "zero")
    assert result.iou == [2 / 4, 0.0, 4 / 6] and result.miou == pytest.approx((2 / 4 + 4 / 6) / 3)
    # utils/score.py at 7e0d21f: I / (2.2e-16 + U), then the plain mean.
    hits, union = np.array([2, 0, 4]), np.array([4, 0, 6])
    assert result.miou == pytest.approx((hits / (2.220446049250313e-16 + union)).mean(), abs=1e-15)
    assert result.macc == scores(counts).macc


def test_areas_with_leading_axes() -> None:
    first, second = matrix([3, 1, 0], [1, 4, 1]), matrix([3, 1, 0], [0, 0, 0])
    stacked = Areas(*(np.stack(pair) for pair in zip(areas(first), areas(second), strict=True)))
    found = ratios(stacked)
    assert found.miou.tolist() == [scores(first).miou, scores(second).miou]
    assert scores(areas(first)) == scores(first)


def test_nothing_scored_is_nan_everywhere() -> None:
    result = scores(np.zeros((2, 3), np.int64))
    assert all(math.isnan(value) for value in (result.miou, result.macc, result.aacc, *result.iou, *result.acc))


def test_counts_beyond_32_bits_and_float32() -> None:
    big = 2**40 + 1
    assert scores(matrix([big, 1, 0], [0, big, 0])).iou == [big / (big + 1), big / (big + 1)]


labels = arrays(np.uint8, (4, 6), elements=st.sampled_from([0, 1, 2, 255]))


@settings(max_examples=25)
@given(arrays(np.uint8, (4, 6), elements=st.integers(0, 2)), labels)
def test_agrees_with_sklearn(prediction: np.ndarray, target: np.ndarray) -> None:
    confusion = ConfusionMatrix(3)
    confusion.update(prediction, target)
    result = scores(confusion.counts)
    truth, found = target[target != 255], prediction[target != 255]
    if not truth.size:
        return
    iou = jaccard_score(truth, found, labels=range(3), average=None, zero_division=0)
    iou[[not ((truth == c) | (found == c)).any() for c in range(3)]] = np.nan
    recall = recall_score(truth, found, labels=range(3), average=None, zero_division=np.nan)
    np.testing.assert_allclose(result.iou, iou, rtol=1e-12)
    np.testing.assert_allclose(result.acc, recall, rtol=1e-12)
    np.testing.assert_allclose(result.miou, np.nanmean(iou), rtol=1e-12)
    np.testing.assert_allclose(result.aacc, accuracy_score(truth, found), rtol=1e-12)


@settings(max_examples=25)
@given(labels)
def test_a_perfect_prediction_scores_one(target: np.ndarray) -> None:
    confusion = ConfusionMatrix(3)
    confusion.update(target, target)
    result = scores(confusion.counts)
    assert {value for value in result.iou if not math.isnan(value)} <= {1.0}
    assert math.isnan(result.miou) == (target == 255).all()


@settings(max_examples=25)
@given(arrays(np.int64, (3, 4), elements=st.integers(0, 50)), st.permutations(range(3)))
def test_the_order_of_classes_changes_nothing(counts: np.ndarray, order: list[int]) -> None:
    first, second = scores(counts), scores(counts[order][:, [*order, 3]])
    np.testing.assert_allclose(second.iou, np.array(first.iou)[order])
    np.testing.assert_allclose([second.miou, second.macc], [first.miou, first.macc], rtol=1e-12)


def test_to_dict_is_json_with_none_for_nan() -> None:
    values = scores(matrix([3, 1, 0], [0, 0, 0])).to_dict(["road", "sky"])
    assert values == {
        "miou": 0.375,
        "macc": 0.75,
        "aacc": 0.75,
        "per_class": {"road": 0.75, "sky": 0.0},
        "per_class_acc": {"road": 0.75, "sky": None},
    }
    json.dumps(values, allow_nan=False)


def test_bad_input() -> None:
    with pytest.raises(SegkdError, match=r"counts have shape \(2, 2\), expected \(K, K \+ 1\)"):
        scores(np.zeros((2, 2), np.int64))
    with pytest.raises(SegkdError, match="1 class names for the scores of 2 classes"):
        scores(np.zeros((2, 3), np.int64)).to_dict(["road"])
