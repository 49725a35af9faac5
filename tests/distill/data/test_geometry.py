from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from segkd_distill.data.geometry import Geometry, GeometryPipeline, largest_share

FILL = (10, 20, 30)


def picture(height: int = 40, width: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel tells its place: red = row, green = column; the mask is row // 8."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, np.zeros_like(rows)], -1).astype(np.uint8)
    return image, (rows // 8).astype(np.uint8)


def pipeline(**changes: object) -> GeometryPipeline:
    settings = {"crop": (16, 24), "scale": (1.0, 1.0), "flip": 0.0, "cat_max_ratio": 1.0, "fill": FILL}
    return GeometryPipeline(Geometry(**{**settings, **changes}))  # type: ignore[arg-type]


def test_a_crop_at_scale_one_is_a_piece_of_the_picture() -> None:
    image, mask = picture()
    cut, labels = pipeline()(image, mask, np.random.default_rng(0))
    top, left = cut[0, 0, 0], cut[0, 0, 1]
    np.testing.assert_array_equal(cut, image[top : top + 16, left : left + 24])
    np.testing.assert_array_equal(labels, mask[top : top + 16, left : left + 24])


def test_every_position_is_drawn() -> None:
    image, mask = picture(18, 26)
    rng = np.random.default_rng(0)
    corners = {tuple(pipeline()(image, mask, rng)[0][0, 0, :2]) for _ in range(200)}
    assert corners == {(row, column) for row in range(3) for column in range(3)}


def test_a_flip_mirrors_image_and_mask() -> None:
    image, mask = picture(16, 24)
    mask[:, :12] = 9
    cut, labels = pipeline(flip=1.0)(image, mask, np.random.default_rng(0))
    np.testing.assert_array_equal(cut, image[:, ::-1])
    np.testing.assert_array_equal(labels, mask[:, ::-1])


def test_flip_is_independent_of_the_crop() -> None:
    """albumentations' own seeding would give both transforms the same numbers."""
    image, mask = picture(16, 48)
    rng = np.random.default_rng(0)
    left_when_flipped = {True: [], False: []}
    for _ in range(300):
        cut, _ = pipeline(flip=0.5)(image, mask, rng)
        flipped = bool(cut[0, 0, 1] > cut[0, -1, 1])
        left_when_flipped[flipped].append(int(cut[0, :, 1].min()))
    assert abs(np.mean(left_when_flipped[True]) - np.mean(left_when_flipped[False])) < 3
    assert 100 < len(left_when_flipped[True]) < 200


@pytest.mark.parametrize(("scale", "window"), [(2.0, (8, 12)), (0.5, (32, 48))])
def test_the_scale_sets_the_window(scale: float, window: tuple[int, int]) -> None:
    image, mask = picture()
    cut, labels = pipeline(scale=(scale, scale))(image, mask, np.random.default_rng(1))
    assert cut.shape == (16, 24, 3) and labels.shape == (16, 24)
    spread = int(cut[..., 0].max()) - int(cut[..., 0].min()) + 1, int(cut[..., 1].max()) - int(cut[..., 1].min()) + 1
    assert abs(spread[0] - window[0]) <= 2 and abs(spread[1] - window[1]) <= 2


def test_what_lies_beyond_the_picture_is_filled_bottom_right_and_ignored() -> None:
    image, mask = picture(12, 10)
    cut, labels = pipeline()(image, mask, np.random.default_rng(0))
    np.testing.assert_array_equal(cut[:12, :10], image)
    np.testing.assert_array_equal(labels[:12, :10], mask)
    assert (cut[12:] == FILL).all() and (cut[:, 10:] == FILL).all()
    assert (labels[12:] == 255).all() and (labels[:, 10:] == 255).all()


def test_a_shrunk_picture_keeps_its_proportions() -> None:
    image, mask = picture(16, 24)
    _, labels = pipeline(scale=(0.5, 0.5))(image, mask, np.random.default_rng(0))
    assert (labels[:8, :12] != 255).all() and (labels[8:] == 255).all() and (labels[:, 12:] == 255).all()


def test_masks_keep_their_values() -> None:
    image, mask = picture()
    mask[::2] = 255
    for seed in range(10):
        _, labels = pipeline(scale=(0.5, 2.0), flip=0.5)(image, mask, np.random.default_rng(seed))
        assert set(np.unique(labels)) <= set(np.unique(mask))


def test_windows_with_one_dominant_class_are_drawn_again() -> None:
    image = np.zeros((16, 96, 3), np.uint8)
    mask = np.zeros((16, 96), np.uint8)
    mask[::2, :30] = 1  # only there two classes are near each other
    free, choosy = pipeline(), pipeline(cat_max_ratio=0.75)
    mixed = {}
    for name, one in (("free", free), ("choosy", choosy)):
        drawn = [one(image, mask, np.random.default_rng(seed))[1] for seed in range(60)]
        mixed[name] = sum(largest_share(labels, (0, 0, 16, 24)) < 0.75 for labels in drawn)
    assert mixed["free"] < 30 and mixed["choosy"] > 55


def test_a_hopeless_mask_ends_the_search() -> None:
    image, _ = picture()
    _, labels = pipeline(cat_max_ratio=0.5)(image, np.zeros((40, 60), np.uint8), np.random.default_rng(0))
    assert (labels == 0).all()


def test_shares_count_labelled_pixels_only() -> None:
    mask = np.array([[0, 0, 0, 1], [255, 255, 255, 255]], np.uint8)
    assert largest_share(mask, (0, 0, 2, 4)) == 0.75
    assert largest_share(mask, (1, 0, 1, 4)) == 1.0  # no class at all
    assert largest_share(mask, (0, 0, 1, 3)) == 1.0  # one class


def test_a_frame_without_mask_is_all_ignored() -> None:
    image, _ = picture()
    cut, labels = pipeline(cat_max_ratio=0.75)(image, None, np.random.default_rng(0))
    assert cut.shape == (16, 24, 3) and (labels == 255).all() and labels.shape == (16, 24)


def test_the_generator_alone_decides() -> None:
    image, mask = picture()
    one = pipeline(scale=(0.5, 2.0), flip=0.5, cat_max_ratio=0.75)
    first = one(image, mask, np.random.default_rng(4))
    one(image, mask, np.random.default_rng(5))
    again = one(image, mask, np.random.default_rng(4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_the_source_is_not_written_to() -> None:
    image, mask = picture()
    before = image.copy(), mask.copy()
    pipeline(flip=1.0, crop=(40, 60))(image, mask, np.random.default_rng(0))[0][:] = 0
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(mask, before[1])


@pytest.mark.long
@pytest.mark.parametrize(
    "importing",
    ["import segkd_distill.data.geometry", "from segkd_distill.commands import options; options.require_training()"],
)
def test_albumentations_does_not_ask_the_network(importing: str) -> None:
    code = f"""
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "albumentations":
            print(os.environ.get("NO_ALBUMENTATIONS_UPDATE"))
sys.meta_path.insert(0, Watch())
{importing}
"""
    environment = {key: value for key, value in os.environ.items() if key != "NO_ALBUMENTATIONS_UPDATE"}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "1"


def test_scales_on_a_grid() -> None:
    geometry = Geometry(crop=(16, 24), scale=(0.5, 2.0), scale_step=0.1)
    drawn = {round(geometry.draw_scale(np.random.default_rng(seed), 40, 60), 9) for seed in range(400)}
    assert drawn == {round(0.5 + 0.1 * step, 9) for step in range(16)}


@pytest.mark.parametrize(
    ("short_side", "long_side", "size", "factor"),
    [
        (512, 2048, (256, 400), 2.0),  # mmsegmentation's keep-ratio resize: the tighter of both limits
        (512, 2048, (300, 6000), 2048 / 6000),
        (520, 520, (375, 500), 520 / 500),
        (513, None, (375, 500), 513 / 375),
        (None, 100, (375, 500), 0.2),
        (None, None, (375, 500), 1.0),
    ],
)
def test_scale_1_of_images_of_many_sizes(
    short_side: int | None, long_side: int | None, size: tuple[int, int], factor: float
) -> None:
    geometry = Geometry(crop=(16, 24), scale=(1.0, 1.0), short_side=short_side, long_side=long_side)
    for height, width in (size, size[::-1]):
        assert geometry.draw_scale(np.random.default_rng(0), height, width) == pytest.approx(factor)


def test_the_short_side_decides_how_much_is_seen() -> None:
    image, mask = picture(40, 60)
    cut, _ = pipeline(short_side=20)(image, mask, np.random.default_rng(0))  # half the size: 32x48 pixels are seen
    assert abs(int(cut[..., 0].max()) - int(cut[..., 0].min()) + 1 - 32) <= 2


def test_the_label_beyond_the_picture() -> None:
    image, mask = picture(12, 10)
    _, labels = pipeline(pad_label=0)(image, mask, np.random.default_rng(0))
    assert (labels[12:] == 0).all() and (labels[:, 10:] == 0).all()
