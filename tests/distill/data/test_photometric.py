from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch

from segkd_distill.data.photometric import BRIGHTNESS, Distortion, distort, draw_distortion, shift_colour


def distortion(count: int, **changes: float) -> Distortion:
    neutral = {"brightness": 0.0, "contrast_first": 1.0, "saturation": 1.0, "hue": 0.0, "contrast_last": 1.0}
    return Distortion(**{key: np.full(count, value, np.float32) for key, value in {**neutral, **changes}.items()})


def noise(count: int = 2) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_no_distortion_changes_nothing() -> None:
    images = noise()
    result = distort(images, distortion(2))
    assert result.dtype == torch.float32 and result.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(result, images.float(), rtol=0, atol=0)


def test_brightness_and_contrast_by_hand() -> None:
    images = torch.full((1, 3, 1, 1), 100, dtype=torch.uint8)
    assert distort(images, distortion(1, brightness=20)).flatten().tolist() == [120.0] * 3
    assert distort(images, distortion(1, contrast_first=1.5)).flatten().tolist() == [150.0] * 3
    both = distortion(1, brightness=20, contrast_last=0.5)
    assert distort(images, both).flatten().tolist() == [60.0] * 3


def test_values_stay_inside_0_255() -> None:
    images = noise()
    for changes in ({"brightness": 200.0}, {"brightness": -200.0}, {"contrast_first": 3.0}, {"saturation": 9.0}):
        result = distort(images, distortion(2, **changes))
        assert result.min() >= 0 and result.max() <= 255


@pytest.mark.parametrize(("saturation", "hue"), [(1.0, 0.1), (1.0, -0.1), (0.5, 0.0), (1.5, 0.05), (0.7, -0.07)])
def test_colour_shift_is_that_of_hsv(saturation: float, hue: float) -> None:
    images = noise(1)
    result = distort(images, distortion(1, saturation=saturation, hue=hue))[0].permute(1, 2, 0).reshape(-1, 3)
    for pixel, shifted in zip(images[0].permute(1, 2, 0).reshape(-1, 3).tolist(), result.tolist(), strict=True):
        h, s, v = colorsys.rgb_to_hsv(*(value / 255 for value in pixel))
        expected = colorsys.hsv_to_rgb((h + hue) % 1, min(1.0, s * saturation), v)
        assert shifted == pytest.approx([255 * value for value in expected], abs=0.02)


def test_grey_has_no_hue() -> None:
    grey = torch.full((1, 3, 2, 2), 77.0)
    ones = torch.ones(1, 1, 1, 1)
    torch.testing.assert_close(shift_colour(grey, 1.5 * ones, 0.1 * ones), grey)


def test_each_image_has_its_own_distortion() -> None:
    images = noise(2)
    mixed = distortion(2)
    mixed.brightness[1] = 30
    mixed.hue[1] = 0.1
    result = distort(images, mixed)
    torch.testing.assert_close(result[0], images[0].float())
    torch.testing.assert_close(result[1:], distort(images[1:], distortion(1, brightness=30, hue=0.1)))


def test_half_of_the_images_get_each_part() -> None:
    drawn = draw_distortion(np.random.default_rng(0), 4000)
    contrast = drawn.contrast_first * drawn.contrast_last
    shares = [(drawn.brightness != 0), (contrast != 1), (drawn.saturation != 1), (drawn.hue != 0)]
    for share in shares:
        assert 0.46 < share.mean() < 0.54
    assert ((drawn.contrast_first == 1) | (drawn.contrast_last == 1)).all()
    assert np.abs(drawn.brightness).max() <= BRIGHTNESS and np.abs(drawn.hue).max() <= 0.1
    assert contrast.min() >= 0.5 and contrast.max() <= 1.5


def test_the_generator_alone_decides() -> None:
    first, again = (draw_distortion(np.random.default_rng(3), 5) for _ in range(2))
    for name in ("brightness", "contrast_first", "saturation", "hue", "contrast_last"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
