from __future__ import annotations

import cv2
import numpy as np
import torch

from segkd_distill.data.blur import MAX_SIGMA_PX, blur, draw_blur


def noise(count: int = 3) -> torch.Tensor:
    values = np.random.default_rng(0).integers(0, 256, (count, 3, 12, 17), dtype=np.uint8)
    return torch.from_numpy(values)


def test_it_is_opencvs_gaussian() -> None:
    images, sigma = noise(), np.array([0.3, 0.9, 1.0], np.float32)
    result = blur(images, sigma)
    assert result.dtype == torch.float32 and result.is_contiguous(memory_format=torch.channels_last)
    for image, deviation, blurred in zip(images, sigma, result, strict=True):
        pixels = image.permute(1, 2, 0).numpy().astype(np.float32)
        expected = cv2.GaussianBlur(pixels, (9, 9), float(deviation), borderType=cv2.BORDER_REPLICATE)
        np.testing.assert_allclose(blurred.permute(1, 2, 0).numpy(), expected, atol=1e-3)


def test_zero_leaves_an_image_alone_and_almost_zero_does_too() -> None:
    images = noise()
    result = blur(images, np.array([0, 1, 1e-6], np.float32))
    assert torch.equal(result[0], images[0].float()) and torch.equal(result[2], images[2].float())
    assert not torch.equal(result[1], images[1].float())
    assert torch.equal(blur(images, np.zeros(3, np.float32)), images.float())


def test_the_input_is_not_written_to() -> None:
    images = noise().float().contiguous(memory_format=torch.channels_last)
    before = images.clone()
    blur(images, np.ones(3, np.float32))
    assert torch.equal(images, before)


def test_drawn_deviations() -> None:
    sigma = draw_blur(np.random.default_rng(0), 4000, 0.25)
    assert sigma.dtype == np.float32 and abs((sigma > 0).mean() - 0.25) < 0.03
    assert sigma.max() <= MAX_SIGMA_PX and abs(sigma[sigma > 0].mean() - 0.5) < 0.05
    assert not draw_blur(np.random.default_rng(0), 10, 0.0).any()
