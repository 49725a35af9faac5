"""A 3x3 convolution of a map that is 0 at most positions, at the cost of the others alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def rows_at(x: Tensor, keep: Tensor) -> Tensor:
    """The vectors of a map at some positions.

    Args:
        x: (N, C, h, w).
        keep: (N, h, w) bool, the positions; there are R of them.

    Returns:
        (R, C), ordered by image, row and column.
    """
    return x.permute(0, 2, 3, 1).flatten(0, 2)[keep.flatten().nonzero()[:, 0]]


def sparse_conv3x3(rows: Tensor, keep: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """What ``conv2d(x, weight, bias, padding=1)`` gives for a map x that is 0 wherever ``keep`` is False.

    Each of the nine taps is one matrix product of the rows, added at the places that it reaches. The value is conv2d's
    but for the order of summation.

    Args:
        rows: (R, C) the map's vectors where ``keep`` is True, as ``rows_at`` gives them.
        keep: (N, h, w) bool.
        weight: (D, C, 3, 3).
        bias: (D,).

    Returns:
        (N, D, h, w) in channels_last memory, of the dtype of ``rows``. Differentiable once.
    """
    result: Tensor = _SparseConv3x3.apply(rows, keep, weight.to(rows.dtype), bias.to(rows.dtype))
    return result


class _SparseConv3x3(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, keep: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        taps = weight.permute(2, 3, 1, 0).reshape(9, weight.shape[1], weight.shape[0])
        places = _places(keep)
        images, height, width = keep.shape
        bordered = bias.repeat(images * (height + 2) * (width + 2), 1)
        for tap, place in zip(taps, places, strict=True):
            bordered.index_put_((place,), rows @ tap, accumulate=True)  # index_add_ takes ten times as long
        ctx.save_for_backward(rows, taps, *places)
        return bordered.view(images, height + 2, width + 2, -1)[:, 1:-1, 1:-1].contiguous().permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        rows, taps, *places = ctx.saved_tensors
        bordered = F.pad(grad.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).flatten(0, 2)
        to_rows, to_taps = torch.zeros_like(rows), torch.empty_like(taps)
        for index, place in enumerate(places):
            reached = bordered.index_select(0, place)
            to_rows.addmm_(reached, taps[index].T)
            torch.mm(rows.T, reached, out=to_taps[index])
        to_weight = to_taps.view(3, 3, *taps.shape[1:]).permute(3, 2, 0, 1)
        return to_rows, None, to_weight, grad.sum((0, 2, 3))


def _places(keep: Tensor) -> list[Tensor]:
    """For each tap, the rows of the result that it reaches; the result has a border of one position."""
    _, height, width = keep.shape
    image, row, column = keep.nonzero(as_tuple=True)
    corner = (image * (height + 2) + row) * (width + 2) + column
    return [corner + (2 - i) * (width + 2) + (2 - j) for i in range(3) for j in range(3)]
