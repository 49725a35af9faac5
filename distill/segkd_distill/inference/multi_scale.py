"""Several looks at an image, at other sizes and mirrored, averaged into one label map."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from segkd_distill.inference.logit_map import LogitMap, RunningArgmax


def average_logits(maps: Sequence[LogitMap]) -> Tensor:
    """The class with the largest mean logit, as CIRKD does (``eval.py``); uint8 (N, H, W)."""
    argmax = RunningArgmax()
    for first, last in maps[0].ranges():
        total = maps[0].classes(first, last)
        for logits in maps[1:]:
            total = total + logits.classes(first, last)
        argmax.add(first, total)
    return argmax.labels


def average_probabilities(maps: Sequence[LogitMap]) -> Tensor:
    """The class with the largest mean probability, as mmsegmentation does (``SegTTAModel``, 1.2.2); uint8 (N, H, W).

    Two passes over the classes: one for each look's normaliser, one that adds probabilities. So only a few classes are
    in memory at full size, and each is upsampled twice.
    """
    normalisers = [_log_sum_exp(logits) for logits in maps]
    argmax = RunningArgmax()
    for first, last in maps[0].ranges():
        total = torch.zeros(())
        for logits, normaliser in zip(maps, normalisers, strict=True):
            total = logits.classes(first, last).sub(normaliser).exp_().add_(total)
        argmax.add(first, total)
    return argmax.labels


def _log_sum_exp(logits: LogitMap) -> Tensor:
    """(N, 1, H, W)."""
    parts = (logits.classes(first, last).logsumexp(1, keepdim=True) for first, last in logits.ranges())
    return functools.reduce(torch.logaddexp, parts)


def scaled_size(size: tuple[int, int], scale: float, test_scale: tuple[int, int] | None = None) -> tuple[int, int]:
    """The size of the network's input, as mmcv computes it (``imrescale``, ``rescale_size``).

    Args:
        size: height and width of the image.
        scale: factor.
        test_scale: short side and limit of the long side at factor 1; None for the image's own size.

    Returns:
        Height and width; the aspect ratio is kept but for rounding.
    """
    if test_scale is not None:
        short_px, long_px = sorted(int(limit * scale) for limit in test_scale)
        scale = min(long_px / max(size), short_px / min(size))
    height, width = (max(1, int(edge * scale + 0.5)) for edge in size)
    return height, width
