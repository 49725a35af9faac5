"""Sliding windows: overlapping crops whose logits are averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from segkd_distill.inference.logit_map import LogitMap, Upsample


class _Window(NamedTuple):
    top: int
    left: int
    height: int
    width: int
    logits: Tensor


class SlidingMap(LogitMap):
    """The mean of the logits of all windows that cover a pixel, then upsampled to the final size.

    As mmsegmentation does it (``EncoderDecoder.slide_inference``, 1.2.2): logits are upsampled to the window, added,
    and divided by the number of windows; the last row and column of windows end at the picture's edge.

    Differs from the original: the windows keep their small logits, and few classes are upsampled at a time.

    Args:
        images: (N, 3, H, W).
        network: gives the logits (N, K, h, w) of images.
        crop: height and width of a window in pixels; a smaller image is one window.
        stride: vertical and horizontal distance of windows.
        size: final height and width.
        upsample: resizes logits to a size.
        flipped: whether to mirror the result left to right.
    """

    def __init__(
        self,
        images: Tensor,
        network: Callable[[Tensor], Tensor],
        *,
        crop: tuple[int, int],
        stride: tuple[int, int],
        size: Sequence[int],
        upsample: Upsample,
        flipped: bool = False,
    ) -> None:
        self._image_size = height, width = images.shape[-2:]
        self._size, self._upsample, self._flipped = tuple(size), upsample, flipped
        self._windows = []
        self._cover = torch.zeros(height, width, device=images.device)
        for top, left in window_corners((height, width), crop, stride):
            bottom, right = min(top + crop[0], height), min(left + crop[1], width)
            logits = network(images[..., top:bottom, left:right])
            self._windows.append(_Window(top, left, bottom - top, right - left, logits))
            self._cover[top:bottom, left:right] += 1
        self.num_classes = self._windows[0].logits.shape[1]
        self.shape = (images.shape[0], self._size[0], self._size[1])

    def classes(self, first: int, last: int) -> Tensor:
        """Logits of some classes."""
        total = self._cover.new_zeros(self.shape[0], last - first, *self._image_size)
        for window in self._windows:
            part = self._upsample(window.logits[:, first:last], (window.height, window.width))
            rows, columns = (
                slice(window.top, window.top + window.height),
                slice(window.left, window.left + window.width),
            )
            total[..., rows, columns] += part
        total /= self._cover
        upsampled = total if self._size == self._image_size else self._upsample(total, self._size)
        return upsampled.flip(-1) if self._flipped else upsampled


def window_corners(size: Sequence[int], crop: Sequence[int], stride: Sequence[int]) -> list[tuple[int, int]]:
    """Top and left of every window, row by row."""
    tops, lefts = (_starts(*axis) for axis in zip(size, crop, stride, strict=True))
    return [(top, left) for top in tops for left in lefts]


def _starts(size: int, crop: int, stride: int) -> list[int]:
    steps = -(-max(size - crop, 0) // stride) + 1
    return [max(min(step * stride, size - crop), 0) for step in range(steps)]
