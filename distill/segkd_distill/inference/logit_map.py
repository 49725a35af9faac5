"""Logits at the size of the label, a few classes at a time: all of them at once may not fit into memory.

At 1024x2048, 150 classes in float32 take 1.2 GB, and averages over scales a multiple of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from segkd_distill.models.network import Network

# Values upsampled at a time: 16 classes of a 1024x2048 image, 128 MB.
VALUES_AT_ONCE = 1 << 25

Upsample = Callable[[Tensor, Sequence[int]], Tensor]


class LogitMap(ABC):
    """Logits of a batch at their final size.

    Attributes:
        num_classes: K.
        shape: (N, height, width).
    """

    num_classes: int
    shape: tuple[int, int, int]

    @abstractmethod
    def classes(self, first: int, last: int) -> Tensor:
        """Logits of the classes ``first`` to ``last - 1``: float32 (N, last - first, height, width)."""

    def ranges(self) -> list[tuple[int, int]]:
        """First and last (not included) of the classes to take at a time."""
        count, height, width = self.shape
        step = max(1, VALUES_AT_ONCE // (count * height * width))
        return [(first, min(first + step, self.num_classes)) for first in range(0, self.num_classes, step)]


class UpsampledMap(LogitMap):
    """Upsampled logits.

    Args:
        logits: (N, K, h, w).
        size: final height and width.
        upsample: resizes logits to a size.
        flipped: whether to mirror them left to right afterwards.
    """

    def __init__(self, logits: Tensor, size: Sequence[int], upsample: Upsample, *, flipped: bool = False) -> None:
        height, width = size
        self.num_classes, self.shape = logits.shape[1], (logits.shape[0], height, width)
        self._logits, self._upsample, self._flipped = logits, upsample, flipped

    def classes(self, first: int, last: int) -> Tensor:
        """Logits of some classes."""
        part = self._upsample(self._logits[:, first:last], self.shape[1:])
        return part.flip(-1) if self._flipped else part


def upsampling(model: Network, align_corners: bool | None) -> Upsample:
    """The network's own way of upsampling, or bilinear with a given ``align_corners``."""
    if align_corners is None or align_corners == model.align_corners:
        return model.upsample
    return lambda logits, size: F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=align_corners)


class RunningArgmax:
    """``argmax`` over the classes of values that come in parts, in ascending order; of equal values the first wins."""

    def __init__(self) -> None:
        self._best: Tensor | None = None
        self._labels = torch.empty(0)

    def add(self, first: int, values: Tensor) -> None:
        """Take in the values (N, k, H, W) of the classes from ``first`` on."""
        best, indices = values.max(1)
        labels = (indices + first).to(torch.uint8)
        if self._best is None:
            self._best, self._labels = best, labels
            return
        higher = best > self._best
        self._best = torch.where(higher, best, self._best)
        self._labels = torch.where(higher, labels, self._labels)

    @property
    def labels(self) -> Tensor:
        """uint8 (N, H, W)."""
        return self._labels


def most_likely(logits: LogitMap) -> Tensor:
    """The class with the largest logit, uint8 (N, H, W)."""
    argmax = RunningArgmax()
    for first, last in logits.ranges():
        argmax.add(first, logits.classes(first, last))
    return argmax.labels
