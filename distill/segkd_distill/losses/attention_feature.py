"""The distance of two normalised, attention-refined features (AttnFD)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segkd.errors import unknown_name
from segkd_distill.losses.checks import check_mask, check_pair, upcast

NORMS = ("batch", "sample")
SMALLEST_NORM = 1e-12
"""A tensor with a smaller norm is as good as zeros: it is not divided by its norm."""


def attention_feature(
    s: Tensor, t: Tensor, *, norm: str = "batch", mask: Tensor | None = None, teacher_gradient: bool = False
) -> Tensor:
    """1/N times the squared Frobenius distance of s / ||s|| and t / ||t||; at most 4 / N.

    Source: Mansurian et al., "Attention as Geometric Transformation" (AttnFD), AmirMansurian/AttnFD ``distiller.py``
    at f090bbe: per tensor one norm over images, channels and positions together.

    Differs from the original:
        - ``norm="sample"``: one norm per image; the value is then at most 4 instead of 4 / N, and what one image adds
          does not depend on the others.
        - A tensor of zeros stays zeros, with a finite gradient; the original divides by 0.
        - ``mask``; without it the values are the original's.

    Args:
        s: (N, C, h, w) student's feature, refined and brought to the teacher's width.
        t: (N, C, h, w) the teacher's, refined.
        norm: ``batch``, as published, or ``sample``.
        mask: (N, h, w) bool; positions outside count neither in the norms nor in the distance.
        teacher_gradient: let a gradient through to ``t``, for a refinement that is learned; off by default.

    Returns:
        Scalar: float64 for float64 input, else float32. Differentiable once.

    Raises:
        SegkdError: for shapes that differ, a mask of another shape or an unknown ``norm``.
    """
    if norm not in NORMS:
        raise unknown_name("norm", norm, NORMS)
    check_pair(s, t)
    s = upcast(s)
    t = (t if teacher_gradient else t.detach()).to(s.dtype)
    if mask is not None:
        check_mask(mask, s)
        inside = mask[:, None]
        s, t = s * inside, t * inside
    distance: Tensor = _NormalisedDistance.apply(s, t, norm == "sample")
    return distance / len(s)


class _NormalisedDistance(torch.autograd.Function):
    """Sum of squares of s / ||s|| - t / ||t||, with the gradient in closed form: one tensor more is kept."""

    @staticmethod
    def forward(ctx: Any, s: Tensor, t: Tensor, per_sample: bool) -> Tensor:
        inverse_s, inverse_t = (_inverse_norm(x, per_sample) for x in (s, t))
        difference = (s * inverse_s).addcmul_(t, -inverse_t)
        ctx.save_for_backward(s, t, difference, inverse_s, inverse_t)
        return torch.linalg.vector_norm(difference).square()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        s, t, difference, inverse_s, inverse_t = ctx.saved_tensors
        to_s = _through_norm(s, inverse_s, difference, 2 * grad) if ctx.needs_input_grad[0] else None
        to_t = _through_norm(t, inverse_t, difference, -2 * grad) if ctx.needs_input_grad[1] else None
        return to_s, to_t, None


def _inverse_norm(x: Tensor, per_sample: bool) -> Tensor:
    """(N or 1, 1, 1, 1)."""
    norm = torch.linalg.vector_norm(x, dim=(1, 2, 3) if per_sample else (0, 1, 2, 3), keepdim=True)
    return torch.where(norm > SMALLEST_NORM, norm, 1.0).reciprocal()


def _through_norm(x: Tensor, inverse: Tensor, difference: Tensor, factor: Tensor) -> Tensor:
    """Gradient to x of u = x * inverse, where the gradient to u is ``factor * difference``."""
    rows = len(inverse)
    along = torch.linalg.vecdot(x.reshape(rows, -1), difference.reshape(rows, -1)).view(inverse.shape)
    scale = factor * inverse
    return (difference * scale).addcmul_(x, -scale * along * inverse.square())
