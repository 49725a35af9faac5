"""Vectors of length 1, which the losses on cosine similarities share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segkd_distill.losses.checks import upcast

SHORTEST = 1e-12
"""What is not longer than this has no direction; ``torch.nn.functional.normalize`` has the same bound."""


class _UnitVectors(torch.autograd.Function):
    """Division by the Euclidean length, without its endless slope at 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
        inverse = torch.where(length > SHORTEST, 1 / length, 0)
        unit = x * inverse
        ctx.save_for_backward(unit, inverse)
        ctx.dim = dim
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        unit, inverse = ctx.saved_tensors
        along = (grad * unit).sum(ctx.dim, keepdim=True)
        return torch.addcmul(grad, unit, along, value=-1).mul_(inverse), None


def unit_vectors(x: Tensor, dim: int = 1) -> Tensor:
    """Divide by the Euclidean length along one axis; a vector without a direction becomes 0 and gets no gradient.

    ``torch.nn.functional.normalize`` differs: its gradient at 0 is 1e12 times the incoming one.

    Args:
        x: any shape; half precisions are computed in float32.
        dim: the axis along which the vectors lie.

    Returns:
        The same shape, float64 for float64 input, else float32. Differentiable once.
    """
    unit: Tensor = _UnitVectors.apply(upcast(x), dim)
    return unit
