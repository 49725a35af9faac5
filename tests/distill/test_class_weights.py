from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from segkd.data.base import Dataset, open_dataset
from segkd.errors import SegkdError
from segkd_distill.class_weights import CITYSCAPES_WEIGHTS, class_weights, count_pixels, median_frequency_weights


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Classes a, b, c, d; two masks of 4x4: 8 a, 4 b, 4 ignored; and 15 a, 1 c."""
    first, second = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    first[2], first[3] = 1, 255
    second[0, 0] = 2
    for kind in ("images", "masks"):
        (tmp_path / kind / "train").mkdir(parents=True)
    for name, mask in (("x", first), ("y", second)):
        cv2.imwrite(str(tmp_path / f"images/train/{name}.png"), np.zeros((4, 4, 3), np.uint8))
        cv2.imwrite(str(tmp_path / f"masks/train/{name}.png"), mask)
    (tmp_path / "classes.yaml").write_text("names: [a, b, c, d]\n")
    return open_dataset(f"folder:{tmp_path}", split="train")


def test_pixels_are_counted_with_those_of_the_images_they_occur_in(dataset: Dataset) -> None:
    own, around = count_pixels(dataset)
    assert own.tolist() == [23, 4, 1, 0] and around.tolist() == [28, 12, 16, 0]


def test_median_frequency_by_hand(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    """Frequencies 23/28, 1/3, 1/16; the median is 1/3; the class that never occurs has weight 1."""
    weights = class_weights("auto", dataset)
    assert weights == pytest.approx((28 / 69, 1.0, 16 / 3, 1.0))
    assert capsys.readouterr().err == "class weights (median frequency): a 0.406, b 1, c 5.33, d 1\n"


def test_none_and_lists(dataset: Dataset) -> None:
    assert class_weights(None, dataset) is None
    assert class_weights([1, 2, 0, 0.5], dataset) == (1.0, 2.0, 0.0, 0.5)


def test_the_published_list(streets: Path) -> None:
    """19 numbers whose mean is 1 to the first digits, in the order of Cityscapes."""
    dataset = open_dataset(f"cityscapes:{streets}", split="train")
    weights = class_weights("cityscapes", dataset)
    assert weights == CITYSCAPES_WEIGHTS and len(weights) == 19
    named = dict(zip(dataset.labels.names, weights, strict=True))
    assert named["sidewalk"] == 0.918 and named["rider"] == 1.1116 and named["motorcycle"] == max(weights) == 1.1529
    assert sum(weights) / 19 == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ([1.0, 2.0], "2 weights for 4 classes"),
        ([1.0, 2.0, -1.0, 1.0], "numbers of at least 0"),
        ([1.0, 2.0, float("nan"), 1.0], "numbers of at least 0"),
        ([0.0, 0.0, 0.0, 0.0], "one of them above 0"),
        ("cityscapes", "for the 19 classes of Cityscapes"),
        ("automatic", "expected auto, cityscapes or a list"),
    ],
)
def test_bad_weights_are_named(dataset: Dataset, spec: str | list[float], message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        class_weights(spec, dataset)


def test_masks_without_a_class_have_no_frequencies() -> None:
    with pytest.raises(SegkdError, match="there are none"):
        median_frequency_weights(np.zeros(3, np.int64), np.zeros(3, np.int64))
