"""The pixel-wise term of DSD: how attention changes from one stage to the next. A reconstruction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses.attention_transfer import attention_map
from segkd_distill.losses.checks import check_grids, check_mask, upcast

SMALLEST_NORM = 1e-3


def residual_attention(s: Sequence[Tensor], t: Sequence[Tensor], *, mask: Tensor | None = None) -> Tensor:
    """Mean over neighbouring stages, images and positions of the squared difference of residual attention maps.

    A residual attention map is the difference of the attention maps (``losses.attention_transfer``) of two stages that
    follow each other, divided by its L2 norm over the positions of its image (or by 1e-3 where that is larger: the
    rounding noise of two equal maps is no pattern): what the later stage attends to more than the earlier one. No
    width has to match.

    Source: after Feng et al., "Double Similarity Distillation for Semantic Image Segmentation", TIP 2021 (PSD), whose
    abstract speaks of "residual attention maps to capture more detailed spatial dependencies across multiple layers".
    The paper's equations and any code were not at hand, and there are no reference values: the map, both
    normalisations and the mean are choices of this project.

    Args:
        s: at least two student's features (N, C_i, h, w) on one grid, early stages first.
        t: as many teacher's features (N, D_i, h, w); they get no gradient.
        mask: (N, h, w) bool, the positions of the maps; the mean is over them, and 0 if there is none.

    Returns:
        Scalar: float64 for float64 input, else float32.

    Raises:
        SegkdError: for fewer than two stages, another number of teacher's stages, grids that differ, or a mask of
            another shape.
    """
    if len(s) < 2 or len(s) != len(t):
        raise SegkdError(f"as many student's as teacher's stages are needed, at least 2, got {len(s)} and {len(t)}")
    for student, teacher in zip(s, t, strict=True):
        check_grids(student, teacher)
        check_grids(student, s[0])
    check_mask(mask, s[0])
    with torch.autocast(s[0].device.type, enabled=False):
        wanted = _residuals([stage.detach().to(upcast(s[0]).dtype) for stage in t], mask)
        difference = _residuals(s, mask) - wanted
        total = difference.square().sum() / len(difference)
        return total / (difference[0].numel() if mask is None else mask.sum().clamp(min=1))


def _residuals(stages: Sequence[Tensor], mask: Tensor | None) -> Tensor:
    """(stages - 1, N, positions), each row of unit norm."""
    maps = torch.stack([attention_map(stage, mask) for stage in stages])
    return F.normalize(maps[1:] - maps[:-1], dim=2, eps=SMALLEST_NORM)
