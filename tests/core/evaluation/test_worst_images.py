from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from segkd.data.base import Sample
from segkd.evaluation import evaluate_set
from segkd.evaluation.worst_images import WorstImages, side_by_side
from segkd.metrics import MetricSuite
from tests.core.evaluation.blocks import LABELS, Oracle, Pictures


def test_the_worst_are_kept_and_written_worst_first(tmp_path: Path) -> None:
    data = Pictures(*[(6, 8)] * 5)
    worst, suite = WorstImages(2, LABELS), MetricSuite(LABELS.names)
    evaluate_set(Oracle(3, 20, 0, 31, 1), data, suite, on_prediction=worst.add)
    rows = worst.write(tmp_path)
    assert [(row["rank"], row["id"], row["wrong_pixels"], row["scored_pixels"]) for row in rows] == [
        (1, "p3", 31, 40),
        (2, "p1", 20, 40),
    ]
    assert rows == json.loads((tmp_path / "worst.json").read_text())
    assert rows[0]["miou"] == suite.per_image()[3]["miou"] and rows[0]["aacc"] == 9 / 40
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["001_p3.png", "002_p1.png"]
    assert cv2.imread(str(tmp_path / rows[0]["file"])).shape == (6, 4 * 8 + 3 * 4, 3)


def test_of_equal_images_the_first_is_kept() -> None:
    worst = WorstImages(1, LABELS)
    evaluate_set(Oracle(), Pictures((4, 4), (4, 4)), MetricSuite(LABELS.names), on_prediction=worst.add)
    assert [kept.sample.id for kept in worst._kept] == ["p0"]


def test_an_image_without_scored_pixels_is_passed_over(tmp_path: Path) -> None:
    worst = WorstImages(3, LABELS)
    evaluate_set(Oracle(), Pictures((1, 4)), MetricSuite(LABELS.names), on_prediction=worst.add)
    assert worst.write(tmp_path) == []


def test_a_picture_by_hand() -> None:
    image = np.full((2, 2, 3), (10, 20, 30), np.uint8)
    sample = Sample(image, np.array([[0, 1], [255, 0]], np.uint8), "x")
    picture = side_by_side(sample, np.array([[0, 0], [1, 0]], np.uint8), LABELS)[..., ::-1]
    shown, truth, predicted, difference = (picture[:, start : start + 2] for start in (0, 6, 12, 18))
    assert (shown == image).all()
    assert truth[0].tolist() == [[128, 64, 10], [70, 130, 180]] and truth[1, 0].tolist() == [0, 0, 0]
    assert predicted[1, 0].tolist() == [70, 130, 180]
    assert difference[0, 1].tolist() == [230, 40, 40] and difference[1, 0].tolist() == [0, 0, 0]
    assert len(set(difference[0, 0].tolist())) == 1  # right: grey
