from __future__ import annotations

import json

import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd.metrics import BoundaryIoU, ConfusionMatrix, MetricOptions, MetricSuite, Trimap, areas, scores
from tests.core.metrics.maps import CLASSES, regions

NAMES = ["a", "b", "c"]
EVERYTHING = MetricOptions(trimap_px=(1, 3), boundary_ratio=0.05, boundary_f_px=2, connectivity=True, bootstrap=20)


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.roll(regions(seed), 2, axis=1) % 4, regions(seed)) for seed in range(3)]


def fed(options: MetricOptions | None = None) -> MetricSuite:
    suite = MetricSuite(NAMES, options=options)
    for index, (prediction, truth) in enumerate(pairs()):
        suite.update(f"image{index}", prediction, truth)
    return suite


def test_plain_scores_are_those_of_one_matrix() -> None:
    matrix = ConfusionMatrix(CLASSES)
    for prediction, truth in pairs():
        matrix.update(prediction, truth)
    suite = fed()
    np.testing.assert_array_equal(suite.confusion.counts, matrix.counts)
    assert suite.to_dict() == scores(matrix.counts).to_dict(NAMES)


def test_parts_agree_with_their_own_measures() -> None:
    result = fed(EVERYTHING).to_dict()
    trimap, boundary = Trimap(CLASSES, (1, 3)), BoundaryIoU(CLASSES, 0.05)
    for prediction, truth in pairs():
        trimap.update(prediction, truth)
        boundary.update(prediction, truth)
    assert [band["miou"] for band in result["trimap"]["curve"]] == [scores(trimap.counts(w)).miou for w in (1, 3)]
    assert result["trimap"]["curve"][1]["per_class"] == dict(zip(NAMES, scores(trimap.counts(3)).iou, strict=True))
    assert result["boundary_iou"]["mean"] == scores(boundary.areas).miou
    assert result["boundary_iou"] | {"mean": 0, "per_class": 0} == {
        "ratio": 0.05,
        "widths_px": [3],
        "mean": 0,
        "per_class": 0,
    }
    assert result["boundary_f"]["theta_px"] == 2 and set(result["boundary_f"]["per_class_recall"]) == set(NAMES)
    assert result["connectivity"]["per_class"]["a"]["true_components"] >= 3
    low, high = result["bootstrap"]["miou"]
    assert low <= result["miou"] <= high and result["bootstrap"]["images"] == 3
    json.dumps(result, allow_nan=False)


def test_images_have_scores_of_their_own() -> None:
    suite, matrix = fed(), ConfusionMatrix(CLASSES)
    prediction, truth = pairs()[1]
    matrix.update(prediction, truth)
    own = scores(matrix.counts)
    assert suite.per_image()[1] == {"id": "image1", "miou": own.miou, "aacc": own.aacc}
    found = MetricSuite(NAMES).update("x", prediction, truth)
    np.testing.assert_array_equal(found, areas(matrix.counts))


def test_absent_classes_may_count_as_zero() -> None:
    truth = np.zeros((4, 4), np.uint8)
    for absent, miou in (("skip", 1.0), ("zero", 1 / 3)):
        suite = MetricSuite(NAMES, options=MetricOptions(absent=absent, bootstrap=5))  # type: ignore[arg-type]
        suite.update("x", truth, truth)
        result = suite.to_dict()
        assert result["miou"] == miou and result["bootstrap"]["miou"] == [miou, miou]


def test_a_bad_image_is_named() -> None:
    with pytest.raises(SegkdError, match="image x: the target holds the value 9"):
        MetricSuite(NAMES).update("x", np.zeros((2, 2), np.uint8), np.full((2, 2), 9, np.uint8))
