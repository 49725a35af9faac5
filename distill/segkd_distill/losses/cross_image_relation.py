"""Cross-image relation: each pixel's similarities to the pixels of every image of the batch (CIRKD)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segkd.errors import SegkdError
from segkd_distill.losses.softened_kl import check_mask, upcast
from segkd_distill.losses.unit_vectors import unit_vectors

CPU_ROWS, GPU_ROWS = 1024, 4096
"""Pixels per block: a block of similarities stays in a CPU's cache, or keeps a GPU busy."""

LARGEST_EXPONENT = {torch.float32: 60.0, torch.float64: 600.0}
"""Up to here, sums of exponentials stay far inside the range of the dtype."""


class _Block(NamedTuple):
    """Consecutive pixels of one image."""

    image: int
    rows: slice


class _CrossImageKL(torch.autograd.Function):
    """The loss and its gradient from blocks of similarities that are not kept.

    A similarity lies between -1 and 1, so no maximum has to be subtracted before the exponential, and the sums of
    exponentials add up block by block in any order. The block of the pixels (a, b) is the transposed block (b, a) and
    is computed once: its rows belong to the distributions of a's pixels over b's image, its columns to those of b's
    pixels over a's image.
    """

    @staticmethod
    def forward(ctx: Any, s: Tensor, t: Tensor, sizes: list[int]) -> Tensor:
        sum_s, sum_t, gap = (s.new_zeros(len(sizes), len(s)) for _ in range(3))
        with torch.autocast(s.device.type, enabled=False):
            for a, b, of_s, of_t in _similarities(s, t, sizes):
                exp_t = of_t.exp()
                _add_rows_and_columns(sum_t, exp_t, a, b)
                _add_rows_and_columns(gap, of_t.sub_(of_s).mul_(exp_t), a, b)
                _add_rows_and_columns(sum_s, of_s.exp_(), a, b)
        share = torch.cat([s.new_full((size,), 1 / (len(sizes) ** 2 * size)) for size in sizes])
        ctx.save_for_backward(s, t, share / sum_s, share / sum_t)
        ctx.sizes = sizes
        # KL of a row: sum(p (log p - log q)), with log p - log q = of_t - of_s + log(sum_s / sum_t).
        return ((gap / sum_t + (sum_s / sum_t).log()) * share).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        s, t, scale_s, scale_t = ctx.saved_tensors
        slope = torch.zeros_like(s)
        with torch.autocast(s.device.type, enabled=False):
            for a, b, of_s, of_t in _similarities(s, t, ctx.sizes):
                excess = of_s.exp_().mul_(_rows_plus_columns(scale_s, a, b))
                excess.sub_(of_t.exp_().mul_(_rows_plus_columns(scale_t, a, b)))
                slope[a.rows].addmm_(excess, s[b.rows])
                if a != b:
                    slope[b.rows].addmm_(excess.T, s[a.rows])
        return slope.mul_(grad), None, None


def _similarities(s: Tensor, t: Tensor, sizes: list[int]) -> Iterator[tuple[_Block, _Block, Tensor, Tensor]]:
    """Every unordered pair of blocks, with the student's and the teacher's products."""
    step = CPU_ROWS if s.device.type == "cpu" else GPU_ROWS
    blocks, start = [], 0
    for image, size in enumerate(sizes):
        end = start + size
        blocks += [_Block(image, slice(row, min(row + step, end))) for row in range(start, end, step)]
        start = end
    for a, b in combinations_with_replacement(blocks, 2):
        yield a, b, s[a.rows] @ s[b.rows].T, t[a.rows] @ t[b.rows].T


def _add_rows_and_columns(total: Tensor, values: Tensor, a: _Block, b: _Block) -> None:
    """Add a block to ``total`` (images, pixels): entry (j, r) sums over the pixels of image j in the row of pixel r."""
    total[b.image, a.rows] += values.sum(1)
    if a != b:
        total[a.image, b.rows] += values.sum(0)


def _rows_plus_columns(scale: Tensor, a: _Block, b: _Block) -> Tensor:
    return scale[b.image, a.rows, None] + scale[a.image, b.rows]


def cross_image_relation(s: Tensor, t: Tensor, *, temperature: float = 0.1, mask: Tensor | None = None) -> Tensor:
    """Mean over ordered pairs of images (i, j), i = j included, and pixels r of i of KL(p_t || p_s).

    p(c) = softmax over the pixels c of image j of cos(f_i(r), f_j(c)) / temperature. There is no factor T^2, and the
    widths of student and teacher may differ.

    The similarities of all pixels are computed in blocks, each pair of pixels once, and again for the gradient. Memory
    is that of a few copies of the inputs; time grows with the square of the number of pixels in the batch.

    Source: Yang et al., "Cross-Image Relational Knowledge Distillation for Semantic Segmentation", CVPR 2022;
    winycg/CIRKD ``losses/cirkd_mini_batch.py`` at dab64db (``CriterionMiniBatchCrossImagePair``).

    Differs from the original:
        - ``mask``; without it the values are theirs.
        - It keeps several matrices of (h*w)^2 numbers for each of the N^2 pairs until the backward pass.
        - A pixel whose feature is 0 gets no gradient instead of one that is 1e12 times too large.

    Args:
        s: (N, C, h, w) student's features.
        t: (N, C', h, w) the teacher's; gets no gradient.
        temperature: at least 1/600; below 1/60 the computation runs in float64.
        mask: (N, h, w) bool, the pixels that count, as rows and as columns; the mean is over the pairs of images that
            have such pixels, and 0 if there is none.

    Returns:
        Scalar: float64 for float64 input, else float32. Differentiable once.

    Raises:
        SegkdError: for other shapes, a mask of another shape or a temperature out of range.
    """
    if s.dim() != 4 or t.dim() != 4 or (s.shape[0], *s.shape[2:]) != (t.shape[0], *t.shape[2:]):
        raise SegkdError(
            f"student and teacher features must be (N, C, h, w) on one grid, got {tuple(s.shape)} and {tuple(t.shape)}"
        )
    if not temperature * LARGEST_EXPONENT[torch.float64] >= 1:
        raise SegkdError(f"the relation needs a temperature of at least 1/600, got {temperature}")
    s, t = upcast(s), t.detach().to(upcast(s).dtype)
    if mask is not None:
        check_mask(mask, s)
        sizes = [size for size in mask.flatten(1).sum(1).tolist() if size]
    else:
        sizes = [s.shape[2] * s.shape[3]] * len(s)
    if not sizes:
        return s.sum() * 0
    wide = temperature * LARGEST_EXPONENT[s.dtype] < 1
    nodes = [_pixels(x, mask).to(torch.float64 if wide else s.dtype) * temperature**-0.5 for x in (s, t)]
    loss: Tensor = _CrossImageKL.apply(*nodes, sizes)
    return loss.to(s.dtype)


def _pixels(x: Tensor, mask: Tensor | None) -> Tensor:
    """(pixels that count, C) of length 1, image by image."""
    rows = x.movedim(1, -1)
    return unit_vectors(rows.flatten(0, 2) if mask is None else rows[mask])
