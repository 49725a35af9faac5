"""Gaussian blur of a whole batch on its device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

MAX_SIGMA_PX = 1.0
_RADIUS_PX = 4


def draw_blur(rng: np.random.Generator, count: int, probability: float) -> NDArray[np.float32]:
    """The standard deviation in pixels for each of ``count`` images, uniform up to 1; 0 = no blur."""
    on, sigma = rng.random(count) < probability, rng.uniform(0, MAX_SIGMA_PX, count)
    return np.where(on, sigma, 0).astype(np.float32)


def blur(images: Tensor, sigma_px: NDArray[np.float32]) -> Tensor:
    """Blur each image with its own deviation; edges repeat.

    Source: ``RandomGaussianBlur`` of AmirMansurian/AttnFD at f090bbe. Differs from the original: the kernel is a
    sampled Gaussian (Pillow approximates it by repeated box filters), the result is not rounded to uint8, and the crop
    is blurred, not the picture beyond it.

    Args:
        images: RGB 0..255, (N, 3, H, W), uint8 or float.
        sigma_px: (N,); 0 leaves an image alone.

    Returns:
        float32 (N, 3, H, W) in channels_last memory.
    """
    pixels = images.to(torch.float32, memory_format=torch.channels_last)
    chosen = np.flatnonzero(sigma_px > 0)
    if not len(chosen):
        return pixels
    offsets = np.arange(-_RADIUS_PX, _RADIUS_PX + 1)
    # Below a twentieth of a pixel the neighbours' weights are 0 in float32.
    deviations = np.maximum(sigma_px[chosen].astype(np.float64), 0.05)[:, None]
    weights = np.exp(-(offsets**2) / (2 * deviations**2))
    weights /= weights.sum(1, keepdims=True)
    kernel = torch.from_numpy(weights.astype(np.float32)).to(images.device, non_blocking=True)
    kernel = kernel.repeat_interleave(3, 0)  # one per channel of each image
    rows = torch.from_numpy(chosen).to(images.device, non_blocking=True)
    height, width = pixels.shape[2:]
    planes = pixels[rows].reshape(1, -1, height, width)
    planes = F.pad(planes, (_RADIUS_PX,) * 4, mode="replicate")
    planes = F.conv2d(planes, kernel[:, None, :, None], groups=len(kernel))
    planes = F.conv2d(planes, kernel[:, None, None, :], groups=len(kernel))
    result = pixels.clone() if pixels.data_ptr() == images.data_ptr() else pixels
    result[rows] = planes.view(len(chosen), 3, height, width)
    return result
