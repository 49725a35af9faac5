"""The Kullback-Leibler divergence of two softened distributions, which several losses share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from segkd_distill.losses.checks import check_pair, check_temperature, upcast


class _SoftenedKL(torch.autograd.Function):
    """KL with the gradient in closed form, so that one tensor is kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, s: Tensor, t: Tensor, dim: int, temperature: float, weight: Tensor | None) -> Tensor:
        log_q = F.log_softmax(s if temperature == 1 else s / temperature, dim)
        log_p = F.log_softmax(t if temperature == 1 else t / temperature, dim)
        p = log_p.exp()
        divergence = log_p.sub_(log_q).mul_(p)
        if weight is not None:
            divergence.mul_(weight)
        if ctx.needs_input_grad[0]:
            slope = log_q.exp_().sub_(p)
            if weight is not None:
                slope.mul_(weight)
            ctx.save_for_backward(slope)
            ctx.temperature = temperature
        return divergence.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * (grad / ctx.temperature), None, None, None, None


def softened_kl(s: Tensor, t: Tensor, *, dim: int, temperature: float = 1.0, weight: Tensor | None = None) -> Tensor:
    """Sum over all positions of KL(softmax(t / T) || softmax(s / T)), without the factor T^2.

    Args:
        s: student's scores, any shape.
        t: teacher's scores, the same shape; gets no gradient.
        dim: the axis of the softmax.
        temperature: T > 0.
        weight: factor on each position's divergence, broadcastable to ``s`` and constant along ``dim``; no gradient.

    Returns:
        Scalar: float64 for float64 input, else float32. Differentiable once.

    Raises:
        SegkdError: if the shapes differ or the temperature is not positive.
    """
    check_pair(s, t)
    check_temperature(temperature)
    s = upcast(s)
    divergence: Tensor = _SoftenedKL.apply(s, t.detach().to(s.dtype), dim, float(temperature), weight)
    return divergence
