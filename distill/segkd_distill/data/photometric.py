"""Photometric distortion of a whole batch on its device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BRIGHTNESS = 32.0
"""Largest shift, in levels of 0..255."""
CONTRAST = (0.5, 1.5)
SATURATION = (0.5, 1.5)
HUE = 18.0 / 180.0
"""Largest shift, as a part of the colour circle (18 of OpenCV's 180 degrees)."""


@dataclass(frozen=True)
class Distortion:
    """What happens to each image of a batch; all arrays are float32 (N,).

    Attributes:
        brightness: added to every channel, in levels; 0 = none.
        contrast_first: factor before the change of colour; 1 = none.
        saturation: factor on the saturation; 1 = none.
        hue: shift as a part of the colour circle; 0 = none.
        contrast_last: factor after the change of colour; 1 = none.
    """

    brightness: NDArray[np.float32]
    contrast_first: NDArray[np.float32]
    saturation: NDArray[np.float32]
    hue: NDArray[np.float32]
    contrast_last: NDArray[np.float32]


def draw_distortion(rng: np.random.Generator, count: int) -> Distortion:
    """Draw one distortion for each of ``count`` images: every part with probability 1/2, contrast before or after."""
    brightness_on, contrast_on, contrast_is_first, saturation_on, hue_on = rng.random((5, count)) < 0.5
    brightness = rng.uniform(-BRIGHTNESS, BRIGHTNESS, count)
    contrast = np.where(contrast_on, rng.uniform(*CONTRAST, count), 1)
    saturation = np.where(saturation_on, rng.uniform(*SATURATION, count), 1)
    hue = np.where(hue_on, rng.uniform(-HUE, HUE, count), 0)
    return Distortion(
        brightness=np.where(brightness_on, brightness, 0).astype(np.float32),
        contrast_first=np.where(contrast_is_first, contrast, 1).astype(np.float32),
        saturation=saturation.astype(np.float32),
        hue=hue.astype(np.float32),
        contrast_last=np.where(contrast_is_first, 1, contrast).astype(np.float32),
    )


def distort(images: Tensor, distortion: Distortion) -> Tensor:
    """Apply one distortion per image.

    Source: ``PhotoMetricDistortion`` of mmsegmentation 1.2.2. Differs from the original:
    - levels stay float between the stages (the original rounds to uint8 four times), clipped to 0..255 as there;
    - the hue is shifted by a real number of degrees, not by whole OpenCV steps of 2 degrees.

    Args:
        images: RGB 0..255, (N, 3, H, W), uint8 or float.
        distortion: parameters of N images.

    Returns:
        float32 (N, 3, H, W) in 0..255, in channels_last memory.
    """

    def column(values: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(values).to(images.device, non_blocking=True).view(-1, 1, 1, 1)

    # Planes side by side while the colours change: three times faster than channels_last on a CPU.
    pixels = images.to(torch.float32, memory_format=torch.contiguous_format)
    pixels = (pixels + column(distortion.brightness)).clamp_(0, 255)
    pixels = pixels.mul_(column(distortion.contrast_first)).clamp_(0, 255)
    coloured = np.flatnonzero((distortion.saturation != 1) | (distortion.hue != 0))
    if len(coloured):
        rows = torch.from_numpy(coloured).to(images.device, non_blocking=True)
        saturation, hue = column(distortion.saturation[coloured]), column(distortion.hue[coloured])
        pixels[rows] = shift_colour(pixels[rows], saturation, hue)
    pixels = pixels.mul_(column(distortion.contrast_last)).clamp_(0, 255)
    return pixels.contiguous(memory_format=torch.channels_last)


def shift_colour(pixels: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Scale the saturation and turn the hue in HSV, keeping the value.

    Args:
        pixels: float RGB, (N, 3, H, W).
        saturation: factor, (N, 1, 1, 1); the result's saturation is clipped to 1.
        hue: shift as a part of the colour circle, (N, 1, 1, 1).
    """
    red, green, blue = pixels.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    chroma = value - low
    safe = chroma.clamp_min(1e-6)
    sixth = torch.where(  # position on the colour circle, in sixths of it from red
        value == red,
        (green - blue).div_(safe),
        torch.where(value == green, (blue - red).div_(safe).add_(2), (red - green).div_(safe).add_(4)),
    )
    sixth = sixth.add_(6 * hue[:, :, :, 0]).remainder_(6)
    chroma = torch.minimum(chroma.mul_(saturation[:, :, :, 0]), value)
    low = value - chroma
    shifted = torch.empty_like(pixels)
    torch.addcmul(low, chroma, (sixth - 3).abs_().sub_(1).clamp_(0, 1), out=shifted[:, 0])
    torch.addcmul(low, chroma, (sixth - 2).abs_().neg_().add_(2).clamp_(0, 1), out=shifted[:, 1])
    torch.addcmul(low, chroma, (sixth - 4).abs_().neg_().add_(2).clamp_(0, 1), out=shifted[:, 2])
    return shifted
