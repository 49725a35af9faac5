from __future__ import annotations

import math

import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd.metrics import Areas, areas, bootstrap_intervals, scores
from segkd.metrics import ConfusionMatrix as Matrix


def images(count: int, classes: int = 3, seed: int = 0) -> tuple[list[np.ndarray], Areas]:
    rng = np.random.default_rng(seed)
    counts = []
    for _ in range(count):
        matrix = Matrix(classes)
        truth = rng.integers(0, classes, (20, 20)).astype(np.uint8)
        wrong = rng.random(truth.shape) < rng.uniform(0, 0.6)
        matrix.update(np.where(wrong, rng.integers(0, classes, truth.shape), truth).astype(np.uint8), truth)
        counts.append(matrix.counts)
    return counts, Areas(*(np.stack(part) for part in zip(*map(areas, counts), strict=True)))


def test_agrees_with_drawing_images_one_by_one() -> None:
    counts, parts = images(12)
    found = bootstrap_intervals(parts, resamples=4000, seed=1)
    rng, draws = np.random.default_rng(2), []
    for _ in range(4000):
        drawn = scores(np.sum([counts[i] for i in rng.integers(0, 12, 12)], axis=0))
        draws.append([drawn.miou, drawn.macc, drawn.aacc, *drawn.iou])
    expected = np.quantile(draws, [0.025, 0.975], axis=0).T
    np.testing.assert_allclose([found.miou, found.macc, found.aacc, *found.iou], expected, atol=0.01)


def test_the_seed_decides() -> None:
    _, parts = images(9)
    same = [bootstrap_intervals(parts, resamples=300, seed=seed) for seed in (3, 3, 4)]
    assert same[0] == same[1] != same[2]


def test_one_image_and_equal_images_have_no_width() -> None:
    counts, parts = images(1)
    repeated = Areas(*(np.repeat(part, 5, axis=0) for part in parts))
    for sample in (parts, repeated):
        found = bootstrap_intervals(sample, resamples=50)
        assert found.miou == pytest.approx((scores(counts[0]).miou,) * 2)


def test_a_wider_confidence_is_a_wider_interval() -> None:
    _, parts = images(15)
    narrow, wide = (bootstrap_intervals(parts, resamples=400, confidence=c).miou for c in (0.5, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_classes_that_are_nowhere_and_classes_of_some_images() -> None:
    hits = np.array([[4, 0, 0], [4, 3, 0]], np.int64)
    parts = Areas(hits, np.array([[5, 0, 0], [5, 3, 0]]), hits)
    found = bootstrap_intervals(parts, resamples=200)
    assert math.isnan(found.iou[2][0]) and found.iou[1] == (1.0, 1.0) and found.iou[0] == (0.8, 0.8)
    zero = bootstrap_intervals(parts, resamples=200, absent="zero")
    assert zero.iou[2] == (0.0, 0.0) and zero.iou[1] == (0.0, 1.0)


@pytest.mark.parametrize(("count", "resamples", "confidence"), [(0, 10, 0.95), (3, 1, 0.95), (3, 10, 1.0)])
def test_bad_input(count: int, resamples: int, confidence: float) -> None:
    parts = Areas(*(np.ones((count, 2), np.int64) for _ in range(3)))
    with pytest.raises(SegkdError, match="a bootstrap needs an image, 2 draws"):
        bootstrap_intervals(parts, resamples=resamples, confidence=confidence)
