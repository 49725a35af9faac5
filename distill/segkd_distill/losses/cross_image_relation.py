"""Cross-image relation: each pixel's similarities to the pixels of every image of the batch (CIRKD)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segkd.errors import SegkdError
from segkd_distill.losses.checks import check_grids, check_mask, upcast
from segkd_distill.losses.unit_vectors import unit_vectors

ROWS = 4096
"""Pixels per block: few enough for a small memory, many enough that threads seldom wait for each other."""

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
        totals = s.new_zeros(3, len(sizes), len(s))  # (i, r): over the pixels of image i, for pixel r
        with torch.autocast(s.device.type, enabled=False):
            for a, b, block in _similarities(s, t, sizes):
                of_s, of_t, gap = block
                torch.sub(of_t, of_s, out=gap)
                block[:2].exp_()
                gap.mul_(of_t)
                totals[:, b.image, a.rows] += block.sum(2)
                if a != b:
                    totals[:, a.image, b.rows] += block.sum(1)
        sum_s, sum_t, gap = totals
        share = torch.cat([s.new_full((size,), 1 / (len(sizes) ** 2 * size)) for size in sizes])
        ctx.save_for_backward(s, t, torch.stack([share / sum_s, -share / sum_t]))
        ctx.sizes = sizes
        # KL of a row: sum(p (log p - log q)), with log p - log q = of_t - of_s + log(sum_s / sum_t).
        return ((gap / sum_t + (sum_s / sum_t).log()) * share).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        s, t, scale = ctx.saved_tensors
        slope = torch.zeros_like(s)
        with torch.autocast(s.device.type, enabled=False):
            for a, b, block in _similarities(s, t, ctx.sizes):
                excess, of_t, factor = block
                for values, (of_rows, of_columns) in zip((excess, of_t), scale[:, (b.image, a.image)], strict=True):
                    torch.add(of_rows[a.rows, None], of_columns[b.rows], out=factor)
                    values.exp_().mul_(factor)
                excess.add_(of_t)
                slope[a.rows].addmm_(excess, s[b.rows])
                if a != b:
                    slope[b.rows].addmm_(excess.T, s[a.rows])
        return slope.mul_(grad), None, None


def _similarities(s: Tensor, t: Tensor, sizes: list[int]) -> Iterator[tuple[_Block, _Block, Tensor]]:
    """Every unordered pair of blocks, with the student's products, the teacher's, and room for as many numbers."""
    step = min(ROWS, max(sizes))
    blocks, start = [], 0
    for image, size in enumerate(sizes):
        end = start + size
        blocks += [_Block(image, slice(row, min(row + step, end))) for row in range(start, end, step)]
        start = end
    room = s.new_empty(3 * step * step)
    for a, b in combinations_with_replacement(blocks, 2):
        height, width = (block.rows.stop - block.rows.start for block in (a, b))
        products = room[: 3 * height * width].view(3, height, width)
        for x, product in zip((s, t), products, strict=False):
            torch.mm(x[a.rows], x[b.rows].T, out=product)
        yield a, b, products


def cross_image_relation(s: Tensor, t: Tensor, *, temperature: float = 0.1, mask: Tensor | None = None) -> Tensor:
    """Mean over ordered pairs of images (i, j), i = j included, and pixels r of i of KL(p_t || p_s).

    p(c) = softmax over the pixels c of image j of cos(f_i(r), f_j(c)) / temperature. There is no factor T^2, and the
    widths of student and teacher may differ.

    The similarities of all pixels are computed in blocks, each pair of pixels once, and again for the gradient. Memory
    is that of a few copies of the inputs and of at most 3 * 4096^2 numbers; time grows with the square of the number of
    pixels in the batch.

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
    check_grids(s, t)
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
