"""The category-wise term of DSD: which classes respond at the same places."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses.checks import check_mask, check_pair, check_temperature, upcast


def category_similarity(
    s: Tensor, t: Tensor, *, temperature: float = 4.0, pool: int = 2, mask: Tensor | None = None
) -> Tensor:
    """Mean over images and pairs of classes of (M_s - M_t)^2, where M = P P^T.

    P (C, positions) is the softmax over the positions of the logits / temperature, after average pooling by ``pool``:
    M[a, b] is how much the classes a and b respond at the same places.

    Source: Feng et al., "Double Similarity Distillation for Semantic Image Segmentation", TIP 2021 (CSD);
    winycg/CIRKD ``losses/dsd.py`` (CriterionCSD) at dab64db. Pooling and temperature were recovered from a value and a
    gradient that this file produced, and agree with them to 1e-15.

    Differs from the original:
        - ``mask``; without it the values are theirs.
        - Windows that the border cuts are pooled over what is there. What the original does with a grid that ``pool``
          does not divide is not known.

    Args:
        s: (N, C, h, w) student's logits.
        t: (N, C, h, w) teacher's logits; gets no gradient.
        temperature: T > 0.
        pool: height and width of the pooling windows, at least 1.
        mask: (N, h, w) bool, the pixels that count; windows without any are left out. The mean is over the images that
            have one, and 0 if there is none.

    Returns:
        Scalar: float64 for float64 input, else float32. A distribution over n positions has entries around 1 / n, so
        that the value is of the order of 1 / n^2.

    Raises:
        SegkdError: for shapes that differ, a mask of another shape, a temperature <= 0 or a window < 1.
    """
    check_pair(s, t)
    check_temperature(temperature)
    if pool < 1:
        raise SegkdError(f"a pooling window of at least 1 position is needed, got {pool}")
    check_mask(mask, s)
    s = upcast(s)
    images, classes = s.shape[:2]
    with torch.autocast(s.device.type, enabled=False):
        student = _similarity(s, temperature, pool, mask)
        teacher = _similarity(t.detach().to(s.dtype), temperature, pool, mask)
        total = (student - teacher).square().sum() / classes**2
    return total / (images if mask is None else mask.flatten(1).any(1).sum().clamp(min=1))


def _similarity(logits: Tensor, temperature: float, pool: int, mask: Tensor | None) -> Tensor:
    if mask is None:
        pooled = F.avg_pool2d(logits, pool, ceil_mode=True)
    else:
        counted = mask[:, None].to(logits.dtype)
        share = F.avg_pool2d(counted, pool, ceil_mode=True)
        pooled = F.avg_pool2d(logits * counted, pool, ceil_mode=True) / share.clamp(min=1 / pool**2)
        # Finite, so that an image without any valid pixel has uniform distributions instead of NaN.
        pooled = pooled.masked_fill(share == 0, torch.finfo(torch.float32).min / 2)
    distributions = (pooled.flatten(2) / temperature).softmax(2)
    return distributions @ distributions.transpose(1, 2)
