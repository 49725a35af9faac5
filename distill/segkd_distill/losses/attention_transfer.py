"""Attention transfer: where the activations of a feature are strong."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segkd_distill.losses.checks import check_grids, check_mask, upcast


def attention_map(feature: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean over channels of the squared activations, divided by its L2 norm over the positions of its image.

    Args:
        feature: (N, C, h, w).
        mask: (N, h, w) bool, the positions that count; the others are 0.

    Returns:
        (N, h * w) float, at least float32; 0 for a feature that is 0.
    """
    energy = upcast(feature).square().mean(1).flatten(1)
    if mask is not None:
        energy = energy.masked_fill(~mask.flatten(1), 0)
    return F.normalize(energy)


def attention_transfer(s: Tensor, t: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Mean over images and positions of the squared difference of two attention maps.

    An attention map is ``attention_map``: activation energy per position, with unit norm per image, so that features
    of any two widths compare without an adapter.

    Source: Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017 (activation-based, p = 2); on
    segmentation networks in winycg/CIRKD ``losses/at.py`` at dab64db.

    Differs from the original:
        - ``mask``; without it the values are theirs.
        - At least float32, whatever autocast says.

    Args:
        s: (N, C, h, w) student's feature.
        t: (N, D, h, w) teacher's feature; gets no gradient.
        mask: (N, h, w) bool, the positions of the maps; the mean is over them, and 0 if there is none.

    Returns:
        Scalar: float64 for float64 input, else float32.

    Raises:
        SegkdError: for grids that differ or a mask of another shape.
    """
    check_grids(s, t)
    check_mask(mask, s)
    with torch.autocast(s.device.type, enabled=False):
        difference = attention_map(s, mask) - attention_map(t.detach(), mask).to(upcast(s).dtype)
        total = difference.square().sum()
        return total / (difference.numel() if mask is None else mask.sum().clamp(min=1))
