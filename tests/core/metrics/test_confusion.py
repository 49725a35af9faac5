from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix

from segkd.errors import SegkdError
from segkd.metrics import BoundaryF, BoundaryIoU, ConfusionMatrix, Connectivity, Trimap


def counted(prediction: object, target: object, num_classes: int) -> np.ndarray:
    matrix = ConfusionMatrix(num_classes)
    matrix.update(np.asarray(prediction), np.asarray(target))
    return matrix.counts


def test_by_hand() -> None:
    #  truth  0 0 1      prediction  0 1 1      ignored: one pixel; outside 0..1: one pixel of class 1
    #         1 255 1                7 0 1
    prediction = np.array([[0, 1, 1], [7, 0, 1]], np.uint8)
    target = np.array([[0, 0, 1], [1, 255, 1]], np.uint8)
    assert counted(prediction, target, 2).tolist() == [[1, 1, 0], [0, 2, 1]]
    assert counted(prediction, target, 2).dtype == np.int64


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64])
def test_every_integer_type_counts_alike(dtype: type) -> None:
    rng = np.random.default_rng(0)
    target = rng.choice([0, 1, 2, 255], (2, 9, 11)).astype(np.uint8)
    prediction = rng.integers(0, 4, target.shape)
    assert (counted(prediction.astype(dtype), target, 3) == counted(prediction, target.astype(np.int64), 3)).all()


def test_wide_predictions_outside_do_not_wrap() -> None:
    assert counted(np.array([[256, -1, 70000, 1]]), np.array([[0, 0, 1, 1]]), 2).tolist() == [[0, 0, 2], [0, 1, 1]]


def test_more_pixels_of_one_pair_than_float32_counts() -> None:
    target = np.ones((1 << 12, (1 << 12) + 3), np.uint8)
    assert counted(target, target, 2)[1, 1] == target.size > 1 << 24


def test_the_rule_of_the_cityscapes_script() -> None:
    """``evalPixelLevelSemanticLabeling.py``, rewritten: ids 0..33, misses on ignored ids, no false alarms there."""
    from segkd.data.readers.cityscapes import CLASSES, label_id_map
    from segkd.metrics import scores

    rng = np.random.default_rng(3)
    truth_ids = rng.integers(0, 34, (60, 70)).astype(np.uint8)
    truth_ids[truth_ids == 31] = 0  # no train anywhere in the truth
    scored_ids = [row.label_id for row in CLASSES]
    predicted = rng.integers(0, 19, truth_ids.shape).astype(np.uint8)
    predicted = np.where(rng.random(truth_ids.shape) < 0.6, label_id_map().apply(truth_ids, Path(), ""), predicted)
    predicted = np.where(predicted == 255, 0, predicted).astype(np.uint8)
    predicted_ids = np.array(scored_ids, np.uint8)[predicted]
    joint = np.zeros((34, 34), np.int64)
    np.add.at(joint, (truth_ids.ravel(), predicted_ids.ravel()), 1)
    expected = []
    for own in scored_ids:
        hits, missed = joint[own, own], joint[own].sum() - joint[own, own]
        alarms = joint[[i for i in scored_ids if i != own], own].sum()
        expected.append(hits / (hits + missed + alarms))
    result = scores(counted(predicted, label_id_map().apply(truth_ids, Path(), ""), 19))
    np.testing.assert_allclose(result.iou, expected, rtol=0, atol=1e-15)
    assert result.miou == pytest.approx(np.nanmean(expected), abs=1e-12)


def test_more_pixels_than_one_chunk_and_slices_that_are_not_contiguous() -> None:
    rng = np.random.default_rng(1)
    target = rng.choice(np.array([*range(19), 255], np.uint8), (1100, 600))
    prediction = rng.integers(0, 19, target.shape).astype(np.uint8)
    valid = target != 255
    expected = confusion_matrix(target[valid], prediction[valid], labels=range(19))
    assert (counted(prediction, target, 19)[:, :-1] == expected).all()
    half = valid[:, ::2]
    expected = confusion_matrix(target[:, ::2][half], prediction[:, ::2][half], labels=range(19))
    assert (counted(prediction[:, ::2], target[:, ::2], 19)[:, :-1] == expected).all()


def test_updates_add_up_over_the_set_and_merge() -> None:
    rng = np.random.default_rng(2)
    prediction, target = (rng.integers(0, 3, (4, 5, 6)).astype(np.uint8) for _ in range(2))
    whole, first, second = ConfusionMatrix(3), ConfusionMatrix(3), ConfusionMatrix(3)
    whole.update(prediction, target)
    for image in range(4):
        (first if image < 1 else second).update(prediction[image], target[image])
    first.merge(second)
    assert (first.counts == whole.counts).all()


def test_255_classes() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(1, -1)
    counts = counted(values, values, 255)
    assert counts.shape == (255, 256)
    assert (counts[:, :-1] == np.eye(255, dtype=np.int64)).all()


def test_another_ignored_value() -> None:
    matrix = ConfusionMatrix(2, ignore=2)
    matrix.update(np.array([[0, 1]], np.uint8), np.array([[2, 1]], np.uint8))
    assert matrix.counts.tolist() == [[0, 0, 0], [0, 1, 0]]


labels = arrays(np.uint8, (3, 7), elements=st.sampled_from([0, 1, 2, 3, 255]))
predictions = arrays(np.uint8, (3, 7), elements=st.integers(0, 6))


@settings(max_examples=25)
@given(predictions, labels)
def test_every_scored_pixel_is_counted_once(prediction: np.ndarray, target: np.ndarray) -> None:
    counts = counted(prediction, target, 4)
    assert counts.sum() == (target != 255).sum()
    assert (counts.sum(axis=1) == np.bincount(target[target != 255], minlength=4)).all()


@settings(max_examples=25)
@given(predictions, labels)
def test_agrees_with_sklearn(prediction: np.ndarray, target: np.ndarray) -> None:
    valid = target != 255
    inside = np.minimum(prediction, 4)
    expected = confusion_matrix([*target[valid], 4], [*inside[valid], 4], labels=range(5))
    assert (counted(prediction, target, 4) == expected[:4]).all()


@settings(max_examples=25)
@given(predictions, labels, st.integers(0, 255))
def test_predictions_on_ignored_pixels_change_nothing(prediction: np.ndarray, target: np.ndarray, value: int) -> None:
    other = np.where(target == 255, value, prediction).astype(np.uint8)
    assert (counted(prediction, target, 4) == counted(other, target, 4)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_an_undeclared_label_is_an_error_and_counts_nothing(dtype: type) -> None:
    matrix = ConfusionMatrix(2)
    with pytest.raises(SegkdError, match="the target holds the value 7, which is neither one of 2 classes nor the ign"):
        matrix.update(np.zeros((1, 2), np.uint8), np.array([[0, 7]], dtype))
    assert not matrix.counts.any()


def test_bad_input() -> None:
    matrix = ConfusionMatrix(2)
    with pytest.raises(SegkdError, match=r"prediction has shape \(2, 3\), its target \(3, 2\)"):
        matrix.update(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
    with pytest.raises(SegkdError, match="the prediction holds float32, expected integers"):
        matrix.update(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.uint8))  # type: ignore[arg-type]
    with pytest.raises(SegkdError, match="cannot add counts of 3 classes"):
        matrix.merge(ConfusionMatrix(3))


@pytest.mark.parametrize(("num_classes", "ignore"), [(0, 255), (256, 255), (19, 18), (2, 256)])
def test_impossible_classes(num_classes: int, ignore: int) -> None:
    with pytest.raises(SegkdError, match="needs 1 to 255 classes"):
        ConfusionMatrix(num_classes, ignore)


@pytest.mark.parametrize("count", [BoundaryF(2), BoundaryIoU(2), Trimap(2, [1]), Connectivity(2)])
@pytest.mark.parametrize("shapes", [((2, 3), (3, 2)), ((1, 2, 3), (1, 2, 3))])
def test_measures_of_maps_take_two_maps_of_one_size(count: Any, shapes: tuple[Any, Any]) -> None:
    prediction, target = (np.zeros(shape, np.uint8) for shape in shapes)
    with pytest.raises(SegkdError, match=r"prediction has shape \(.*they must be equal: two maps \(height, width\)"):
        count.update(prediction, target)
