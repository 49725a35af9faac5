"""The pictures: deterministic, with the classes and the difficulty that the published figures were measured on."""

from __future__ import annotations

import numpy as np
import pytest

from segkd.data.readers.cityscapes import CLASSES as CITYSCAPES_CLASSES
from segkd.data.readers.cityscapes import LABEL_IDS
from segkd.data.street_scenes import CLASSES, scene
from segkd.errors import SegkdError

EGO_VEHICLE_ID = 1

# Pixels per label id, mean colour and standard deviation, as drawn by the program that the quickstart's settings were
# measured with: (seed, index, height, width, hard, thickness). Another OpenCV may round borders differently.
MEASURED = [
    (
        (1, 0, 128, 256, 0.5, 1.7),
        {1: 1196, 7: 1996, 8: 3043, 11: 5170, 13: 319, 17: 640, 19: 84, 20: 684}
        | {21: 2370, 22: 4604, 23: 8785, 24: 312, 26: 3405, 33: 160},
        (104.18, 128.91, 122.55),
        52.06,
    ),
    (
        (2, 7, 128, 256, 0.5, 1.7),
        {7: 1683, 8: 2472, 11: 5304, 13: 187, 17: 1096, 19: 21, 20: 595}
        | {21: 1502, 22: 3923, 23: 6594, 24: 97, 26: 2812, 27: 2375, 33: 4107},
        (78.65, 81.93, 81.1),
        43.7,
    ),
    (
        (5, 3, 96, 192, 1.0, 1.0),
        {7: 828, 8: 869, 11: 2080, 12: 169, 13: 158, 17: 242, 20: 66}
        | {21: 2761, 22: 1705, 23: 5223, 24: 645, 26: 3133, 27: 553},
        (59.44, 53.12, 48.13),
        25.56,
    ),
]


@pytest.mark.parametrize(("arguments", "pixels", "mean", "deviation"), MEASURED)
def test_scenes_are_those_that_were_measured(arguments, pixels, mean, deviation) -> None:
    seed, index, height, width, hard, thickness = arguments
    image, label_ids = scene(seed, index, height, width, hard=hard, thickness=thickness)
    expected = np.zeros(256)
    expected[list(pixels)] = list(pixels.values())
    counts = np.bincount(label_ids.ravel(), minlength=256)
    assert np.abs(counts - expected).max() <= 30
    np.testing.assert_allclose(image.reshape(-1, 3).mean(axis=0), mean, atol=0.3)
    assert image.std() == pytest.approx(deviation, abs=0.3)


def test_same_arguments_draw_the_same_bytes_and_others_do_not() -> None:
    first, again = scene(3, 4, 64, 96), scene(3, 4, 64, 96)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    for seed, index in ((3, 5), (4, 4)):
        other = scene(seed, index, 64, 96)
        assert (first[1] != other[1]).mean() > 0.1


def test_shapes_types_and_ids() -> None:
    image, label_ids = scene(0, 0, 48, 80)
    assert image.shape == (48, 80, 3)
    assert image.dtype == label_ids.dtype == np.uint8
    assert label_ids.shape == (48, 80)


def test_every_class_occurs_and_no_other() -> None:
    pixels = sum(np.bincount(scene(9, index, 96, 192)[1].ravel(), minlength=256) for index in range(40))
    scored = {LABEL_IDS[name] for name in CLASSES}
    assert set(np.flatnonzero(pixels)) <= scored | {EGO_VEHICLE_ID}
    assert scored <= set(np.flatnonzero(pixels))
    shares = {name: pixels[LABEL_IDS[name]] / pixels.sum() for name in CLASSES}
    assert 0.2 < shares["sky"] < 0.33
    assert 0.08 < shares["road"] < 0.16
    assert all(share > 0.001 for share in shares.values())
    absent = {c.name for c in CITYSCAPES_CLASSES} - set(CLASSES)
    assert absent == {"rider", "bus", "train", "motorcycle"}


def test_thickness_changes_thin_things_and_hard_changes_only_the_image() -> None:
    thin, thick = (
        sum((scene(1, index, 128, 256, thickness=t)[1] == LABEL_IDS["traffic sign"]).sum() for index in range(12))
        for t in (1.0, 1.7)
    )
    assert thick > 1.5 * thin
    calm, rough = scene(1, 2, 96, 192, hard=0.0), scene(1, 2, 96, 192, hard=1.0)
    np.testing.assert_array_equal(calm[1], rough[1])
    flat_sky = calm[0][calm[1] == LABEL_IDS["sky"]].astype(float)
    rough_sky = rough[0][rough[1] == LABEL_IDS["sky"]].astype(float)
    assert rough_sky.std(axis=0).mean() > flat_sky.std(axis=0).mean() + 1


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        ((31, 64), {}, "at least 32x32 px, asked for 31x64"),
        ((64, 64), {"hard": -0.1}, "hard >= 0"),
        ((64, 64), {"thickness": 0.0}, "thickness > 0"),
        ((64, 64), {"hard": float("nan")}, "hard >= 0"),
    ],
)
def test_bad_arguments(size, options, message) -> None:
    with pytest.raises(SegkdError, match=message):
        scene(0, 0, *size, **options)
