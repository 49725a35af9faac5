"""Cross-image relation: each pixel's similarities to the pixels of every image of the batch (CIRKD)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segkd.errors import SegkdError
from segkd_distill.losses.softened_kl import check_mask
from segkd_distill.losses.unit_vectors import unit_vectors

ROWS = 1024
"""Pixels per block: a block of similarities stays in a CPU's cache and still keeps a GPU busy."""
LARGEST_EXPONENT = {torch.float32: 60.0, torch.float64: 600.0}
"""Sums of exponentials up to here stay far inside the range of the dtype."""


class _Block(NamedTuple):
    """Consecutive pixels of one image."""

    image: int
    rows: slice


class _CrossImageKL(torch.autograd.Function):
    """The loss and its gradient from blocks of similarities that are never kept.

    A similarity lies between -1 and 1, so exponentials need no maximum to be subtracted: their sums add up over blocks
    in any order. And the block of pixels (a, b) is the transposed one of (b, a), so each is computed once: its rows
    belong to the distributions of a's pixels over b's image, its columns to those of b's pixels over a's image.
    """

    @staticmethod
    def forward(ctx: Any, s: Tensor, t: Tensor, sizes: list[int]) -> Tensor:
        images, pixels = len(sizes), len(s)
        sum_s, sum_t, gap = (s.new_zeros(images, pixels) for _ in range(3))
        for a, b, of_s, of_t in _similarities(s, t, _blocks(sizes)):
            exp_t = of_t.exp()
            _add_both_ways(sum_t, exp_t, a, b)
            _add_both_ways(gap, of_t.sub_(of_s).mul_(exp_t), a, b)
            _add_both_ways(sum_s, of_s.exp_(), a, b)
        share = torch.cat([s.new_full((size,), 1 / (images**2 * size)) for size in sizes])
        divergence = (gap / sum_t + (sum_s / sum_t).log()) * share
        ctx.save_for_backward(s, t, share / sum_s, share / sum_t)
        ctx.sizes = sizes
        return divergence.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        s, t, scale_s, scale_t = ctx.saved_tensors
        slope = torch.zeros_like(s)
        for a, b, of_s, of_t in _similarities(s, t, _blocks(ctx.sizes)):
            q = of_s.exp_().mul_(_scale_both_ways(scale_s, a, b))
            p = of_t.exp_().mul_(_scale_both_ways(scale_t, a, b))
            q.sub_(p)
            slope[a.rows].addmm_(q, s[b.rows])
            if a != b:
                slope[b.rows].addmm_(q.T, s[a.rows])
        return slope.mul_(grad), None, None


def _blocks(sizes: list[int]) -> list[_Block]:
    blocks, start = [], 0
    for image, size in enumerate(sizes):
        end = start + size
        blocks += [_Block(image, slice(row, min(row + ROWS, end))) for row in range(start, end, ROWS)]
        start = end
    return blocks


def _similarities(s: Tensor, t: Tensor, blocks: list[_Block]) -> Iterator[tuple[_Block, _Block, Tensor, Tensor]]:
    """Every unordered pair of blocks with the student's and the teacher's products, which the next pair overwrites."""
    with torch.autocast(s.device.type, enabled=False):
        for a, b in combinations_with_replacement(blocks, 2):
            yield a, b, s[a.rows] @ s[b.rows].T, t[a.rows] @ t[b.rows].T


def _add_both_ways(total: Tensor, values: Tensor, a: _Block, b: _Block) -> None:
    total[b.image, a.rows] += values.sum(1)
    if a != b:
        total[a.image, b.rows] += values.sum(0)


def _scale_both_ways(scale: Tensor, a: _Block, b: _Block) -> Tensor:
    return scale[b.image, a.rows, None] + scale[a.image, b.rows]


def cross_image_relation(s: Tensor, t: Tensor, *, temperature: float = 0.1, mask: Tensor | None = None) -> Tensor:
    if mask is None:
        sizes = [s.shape[2] * s.shape[3]] * len(s)
        keep = slice(None)
    nodes_s, nodes_t = (_nodes(x) * temperature**-0.5 for x in (s, t.detach()))
    return _CrossImageKL.apply(nodes_s, nodes_t, sizes)


def _nodes(x: Tensor) -> Tensor:
    return unit_vectors(x, 1).flatten(2).transpose(1, 2).flatten(0, 1)
