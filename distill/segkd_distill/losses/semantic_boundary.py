"""Boundary maps from a backbone's own features (a reconstruction of BRD's boundary distillation)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses.channel_wise import channel_wise
from segkd_distill.losses.checks import check_mask, upcast
from segkd_distill.losses.unit_vectors import unit_vectors


class _NeighbourSimilarity(torch.autograd.Function):
    """Sum of the scalar products of each position's vector with its neighbours': the product with their sum.

    Being a neighbour is mutual, so the gradient is made of sums over neighbours too.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        around = _neighbour_sum(x)
        ctx.save_for_backward(x, around)
        return (x * around).sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, around = ctx.saved_tensors
        grad = grad[:, None]
        return _neighbour_sum(x * grad).addcmul_(around, grad)


def _neighbour_sum(x: Tensor) -> Tensor:
    """Sum of the eight neighbours of (N, C, h, w), with 0 outside."""
    column = x.clone()
    column[..., 1:, :] += x[..., :-1, :]
    column[..., :-1, :] += x[..., 1:, :]
    square = column.clone()
    square[..., 1:] += column[..., :-1]
    square[..., :-1] += column[..., 1:]
    return square.sub_(x)


def boundary_map(features: Tensor, mask: Tensor | None = None) -> Tensor:
    """1 minus the mean cosine similarity of each position's feature to those of its eight neighbours.

    Args:
        features: (N, C, h, w).
        mask: (N, h, w) bool; the other positions are nobody's neighbours and have the value 1.

    Returns:
        (N, h, w), at least float32, in 0..2. Neighbours outside the grid do not count; 1 without any neighbour.
    """
    unit = unit_vectors(features)
    inside = torch.ones_like(unit[:, :1]) if mask is None else mask[:, None].to(unit.dtype)
    if mask is not None:
        unit = unit * inside
    similarity: Tensor = _NeighbourSimilarity.apply(unit)
    return 1 - similarity / _neighbour_sum(inside)[:, 0].clamp(min=1)


def semantic_boundary(
    s_list: Sequence[Tensor],
    t_list: Sequence[Tensor],
    *,
    temperature: float | None = None,
    masks: Sequence[Tensor] | None = None,
) -> Tensor:
    """Mean over stages and positions of the squared difference of student's and teacher's ``boundary_map``.

    The maps have one channel whatever the width, so no adapter is needed. A teacher's map on another grid is resized to
    the student's, bilinear.

    Reconstructed. Zhang et al., "Boundary and Relation Distillation for Semantic Segmentation" (2024; TMLR 2026 as
    "BCKD"), published no code. Known from its abstracts: object boundaries are made explicit from the backbone's
    hierarchical features, by the semantic affinity of pairs of pixels and without labels. Ours: the eight neighbours,
    the cosine, the squared difference, the mean over stages.

    Args:
        s_list: student's stages, each (N, C_l, h_l, w_l).
        t_list: teacher's, one per stage; widths and grids may differ; get no gradient.
        temperature: if given, ``channel_wise`` of the maps at this T > 0 instead of the squared difference.
        masks: per stage (N, h_l, w_l) bool, the student's positions that count, as neighbours too; the mean of a stage
            is over them, and 0 if there is none. A teacher on another grid takes its nearest neighbours.

    Returns:
        Scalar: float64 for float64 input, else float32. Differentiable once.

    Raises:
        SegkdError: for numbers of stages or images that differ, a mask of another shape or a temperature <= 0.
    """
    if not s_list or len(s_list) != len(t_list) or (masks is not None and len(masks) != len(s_list)):
        raise SegkdError(
            f"one teacher's stage, and one mask if any, per student's stage expected, got {len(s_list)} student's, "
            f"{len(t_list)} teacher's and {'no' if masks is None else len(masks)} masks"
        )
    losses = []
    for stage, (s, t) in enumerate(zip(s_list, t_list, strict=True)):
        if s.dim() != 4 or t.dim() != 4 or len(s) != len(t):
            raise SegkdError(
                f"student's and teacher's stage {stage} must be (N, C, h, w) of the same images, "
                f"got {tuple(s.shape)} and {tuple(t.shape)}"
            )
        losses.append(_stage(s, t.detach(), temperature, None if masks is None else masks[stage]))
    return torch.stack(losses).mean()


def _stage(s: Tensor, t: Tensor, temperature: float | None, mask: Tensor | None) -> Tensor:
    check_mask(mask, s)
    of_s = boundary_map(s, mask)
    of_t, mask = _teacher_map(t, s, mask)
    of_t = of_t.to(of_s.dtype)
    if temperature is not None:
        return channel_wise(of_s[:, None], of_t[:, None], temperature=temperature, mask=mask)
    squared = (of_s - of_t).square()
    return squared.mean() if mask is None else (squared * mask).sum() / mask.sum().clamp(min=1)


def _teacher_map(t: Tensor, s: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The teacher's map on the student's grid, and the positions of the mask at which it has a value."""
    size = s.shape[-2:]
    if t.shape[-2:] == size:
        return boundary_map(t, mask), mask
    if mask is None:
        return _resized(boundary_map(t), size), None
    valid = F.interpolate(mask[:, None].float(), size=t.shape[-2:], mode="nearest")[:, 0] > 0
    share = _resized(valid.to(upcast(t).dtype), size)
    # Only valid positions enter the mean of the four neighbours.
    return _resized(boundary_map(t, valid) * valid, size) / share.clamp(min=1e-6), mask & (share > 0)


def _resized(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x[:, None], size=tuple(size), mode="bilinear", align_corners=False)[:, 0]
