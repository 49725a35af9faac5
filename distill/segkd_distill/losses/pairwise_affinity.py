"""The pair-wise term of SKDS: the cosine similarity of every two places of an image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses.checks import check_grids, check_mask, upcast

SMALLEST_NORM = 1e-12
"""A node of a smaller norm counts as zero."""


def pairwise_affinity(
    s: Tensor, t: Tensor, *, window: int = 2, scale: float | None = None, mask: Tensor | None = None
) -> Tensor:
    """Mean over images and pairs of nodes (i, j) of (cos(t_i, t_j) - cos(s_i, s_j))^2.

    A node is the maximum over a window of positions, per channel. The widths of s and t may differ.

    Two published variants:
        - ``window`` (the default, 2): winycg/CIRKD ``losses/skd.py`` at dab64db. Windows of ``window`` x ``window``;
          the gradient goes through the norm.
        - ``scale``: irfanICMLL/structure_knowledge_distillation ``utils/criterion.py`` and ``utils/utils.py``
          (sim_dis_compute) at ce208e1. Windows of int(h * scale) x int(w * scale), so that the published 0.5 leaves
          2 x 2 nodes of the whole map (3 x 3 where h and w are odd); the norm counts as a constant in the gradient,
          and 1e-8 is added to it.

    Paper: Liu et al., "Structured Knowledge Distillation for Semantic Segmentation", CVPR 2019.

    Differs from the originals:
        - Where an image has more nodes than channels, ||A_t - A_s||^2 is computed from the (channels x channels)
          products instead of the (nodes x nodes) affinities: the same value, less work and memory.
        - A node that is 0 in every channel gets no gradient; theirs is divided by 1e-12 (``scale``: 1e-8).
        - float64 stays float64; the ``scale`` variant casts to float32.
        - A window is at least 1 x 1; the ``scale`` variant stops on maps of less than 1 / scale positions.
        - ``mask``.

    Args:
        s: (N, C, h, w) student's feature.
        t: (N, D, h, w) teacher's feature; gets no gradient.
        window: height and width of a node in positions; incomplete windows at the border count.
        scale: height and width of a node as fractions of the map, in 0..1; wins over ``window``.
        mask: (N, h, w) bool, the positions that count. A node is the maximum over those in its window, and nodes
            without any are left out; 0 if there is no node.

    Returns:
        Scalar: float64 for float64 input, else float32. Differentiable once.

    Raises:
        SegkdError: for grids that differ, a mask of another shape, a window < 1 or a scale outside 0..1.
    """
    check_grids(s, t)
    size = node_size(s.shape[2], s.shape[3], window=window, scale=scale)
    check_mask(mask, s)
    t = t.detach().to(upcast(s).dtype)
    nodes_s, nodes_t = _nodes(s, size, mask), _nodes(t, size, mask)
    distance: Tensor = _AffinityDistance.apply(nodes_s, nodes_t, scale is not None)
    if mask is None:
        return distance / (len(s) * nodes_s.shape[2] ** 2)
    counts = _node_mask(mask, size).sum(1)
    return distance / counts.square().sum().clamp(min=1)


def node_size(height: int, width: int, *, window: int, scale: float | None) -> tuple[int, int]:
    """Height and width of a node in positions.

    Raises:
        SegkdError: for a window < 1 or a scale outside 0..1.
    """
    if scale is None:
        if isinstance(window, bool) or not isinstance(window, int) or window < 1:
            raise SegkdError(f"window must be a whole number of at least 1, got {window!r}")
        return min(window, height), min(window, width)
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale <= 1:
        raise SegkdError(f"scale must be above 0 and at most 1, got {scale!r}")
    return max(1, int(height * scale)), max(1, int(width * scale))


def _nodes(x: Tensor, size: tuple[int, int], mask: Tensor | None) -> Tensor:
    """(N, C, nodes); a node without a position that counts is 0 in every channel."""
    if mask is None:
        return upcast(_window_maximum(x, size)).flatten(2)
    x = x.masked_fill(~mask[:, None], torch.finfo(x.dtype).min)
    empty = ~_node_mask(mask, size)[:, None]
    return upcast(_window_maximum(x, size)).flatten(2).masked_fill(empty, 0)


def _node_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, nodes) bool: nodes with a position that counts."""
    return F.max_pool2d(mask[:, None].float(), size, ceil_mode=True).flatten(1) > 0


def _window_maximum(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The maximum over windows; the gradient goes to the first of equal values."""
    if size == (2, 2) and x.shape[2] % 2 == x.shape[3] % 2 == 0:
        maximum: Tensor = _MaximumOfFour.apply(x)
        return maximum
    return F.max_pool2d(x, size, ceil_mode=True)


class _MaximumOfFour(torch.autograd.Function):
    """``max_pool2d`` with windows of 2 x 2, several times faster on a CPU: first within rows, then over rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        left, right = x[..., ::2], x[..., 1::2]
        rows = torch.maximum(left, right)
        top, bottom = rows[:, :, ::2], rows[:, :, 1::2]
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(left >= right, top >= bottom)
        return torch.maximum(top, bottom)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        from_left, from_top = ctx.saved_tensors
        images, channels, height, width = grad.shape
        of_rows = grad.new_empty(images, channels, 2 * height, width)
        top, bottom = of_rows[:, :, ::2], of_rows[:, :, 1::2]
        torch.sub(grad, torch.mul(grad, from_top, out=top), out=bottom)
        of_all = grad.new_empty(images, channels, 2 * height, 2 * width)
        left, right = of_all[..., ::2], of_all[..., 1::2]
        torch.sub(of_rows, torch.mul(of_rows, from_left, out=left), out=right)
        return of_all


class _AffinityDistance(torch.autograd.Function):
    """Sum over images of ||t't - s's||^2, s and t of unit length per node: value and gradient in closed form."""

    @staticmethod
    def forward(ctx: Any, s: Tensor, t: Tensor, constant_norm: bool) -> Tensor:
        """For nodes s (N, C, nodes) and t (N, D, nodes)."""
        lengths = _lengths(s, constant_norm)
        s, t = s / lengths, t / _lengths(t, constant_norm)
        by_nodes = _cost_by_nodes(s, t) <= _cost_by_channels(s, t)
        with torch.autocast(s.device.type, enabled=False):  # the products would be of half precision
            distance, slope = (_by_nodes if by_nodes else _by_channels)(s, t, ctx.needs_input_grad[0])
        if slope is not None:
            if not constant_norm:
                slope.addcmul_(s, (s * slope).sum(1, keepdim=True), value=-1)
            ctx.save_for_backward(slope.div_(lengths))
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * (4 * grad), None, None


def _lengths(nodes: Tensor, constant_norm: bool) -> Tensor:
    """(N, 1, nodes): what each node is divided by; infinite for a node of zeros, which thereby gets no gradient."""
    norm = nodes.square().sum(1, keepdim=True).sqrt_()
    return (norm + 1e-8 if constant_norm else norm).masked_fill(norm < SMALLEST_NORM, torch.inf)


def _cost_by_nodes(s: Tensor, t: Tensor) -> int:
    """Multiplications per image of ``_by_nodes``."""
    return s.shape[2] ** 2 * (2 * s.shape[1] + t.shape[1])


def _cost_by_channels(s: Tensor, t: Tensor) -> int:
    """Multiplications per image of ``_by_channels``."""
    c, d = s.shape[1], t.shape[1]
    return s.shape[2] * (2 * c * c + 2 * c * d + d * d)


def _by_nodes(s: Tensor, t: Tensor, differentiate: bool) -> tuple[Tensor, Tensor | None]:
    """The distance, and a quarter of its gradient to s, from the affinities themselves."""
    gap = (s.mT @ s).sub_(t.mT @ t)
    return gap.square().sum(), s @ gap if differentiate else None


def _by_channels(s: Tensor, t: Tensor, differentiate: bool) -> tuple[Tensor, Tensor | None]:
    """The squared distance of the affinities from products over the nodes, and the student's slope.

    ||t't - s's||^2 = ||tt'||^2 - 2 ||st'||^2 + ||ss'||^2.

    The three terms nearly cancel where features have a common direction or the student is near its teacher. Therefore
    the identity serves only what remains of s and t without their means over the nodes; with v the (nodes,) products
    of that and the means, and b the products of the means, the affinities differ by
    (remainder's) + v1' + 1v' + b 11', whose parts are orthogonal. Sums are in float64.
    """
    count = s.shape[2]
    mean_s, mean_t = s.mean(2, keepdim=True), t.mean(2, keepdim=True)
    s, t = s - mean_s, t - mean_t
    v = mean_s.mT @ s - mean_t.mT @ t
    b = (_square_sum(mean_s, 1) - _square_sum(mean_t, 1))[:, :, None]
    ss, st, tt = s @ s.mT, s @ t.mT, t @ t.mT
    remainder = (_square_sum(ss) - 2 * _square_sum(st) + _square_sum(tt)).clamp(min=0)
    distance = (remainder + 2 * count * _square_sum(v) + count**2 * _square_sum(b)).to(s.dtype)
    if not differentiate:
        return distance, None
    slope = (ss @ s).baddbmm_(st, t, alpha=-1).baddbmm_(mean_s, v, alpha=count)
    return distance, slope.add_(s @ v.mT + count * b.to(s.dtype) * mean_s)


def _square_sum(x: Tensor, dim: int | None = None) -> Tensor:
    return torch.linalg.vector_norm(x, dim=dim, dtype=torch.float64).square()
