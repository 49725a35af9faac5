"""The pair-wise term of SKDS: the cosine similarity of every two places of an image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses.softened_kl import check_mask, upcast


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
    if s.dim() != 4 or t.dim() != 4 or s.shape[0] != t.shape[0] or s.shape[2:] != t.shape[2:]:
        raise SegkdError(
            f"student and teacher features must be (N, C, h, w) on one grid, got {tuple(s.shape)} and "
            f"{tuple(t.shape)}: resize the teacher's first"
        )
    size = node_size(s.shape[2], s.shape[3], window=window, scale=scale)
    if mask is not None:
        check_mask(mask, s)
    t = t.detach().to(upcast(s).dtype)
    nodes_s, nodes_t = (_unit_nodes(x, size, mask, constant_norm=scale is not None) for x in (s, t))
    distance: Tensor = _AffinityDistance.apply(nodes_s, nodes_t)
    if mask is None:
        return distance / (len(s) * nodes_s.shape[2] ** 2)
    counts = F.max_pool2d(mask[:, None].float(), size, ceil_mode=True).flatten(1).sum(1)
    return distance / counts.square().sum().clamp(min=1).to(distance.dtype)


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


def _unit_nodes(x: Tensor, size: tuple[int, int], mask: Tensor | None, *, constant_norm: bool) -> Tensor:
    """(N, C, nodes) of unit length over the channels; nodes of zeros, or without a position that counts, stay zeros."""
    if mask is not None:
        x = x.masked_fill(~mask[:, None], torch.finfo(x.dtype).min)
    nodes = upcast(F.max_pool2d(x, size, ceil_mode=True)).flatten(2)
    if mask is not None:
        counts = F.max_pool2d(mask[:, None].float(), size, ceil_mode=True).flatten(2) > 0
        nodes = nodes.masked_fill(~counts, 0)
    norm = torch.linalg.vector_norm(nodes.detach() if constant_norm else nodes, dim=1, keepdim=True)
    floor = 1e-12
    inverse = (norm + 1e-8 if constant_norm else norm.clamp(min=floor)).reciprocal()
    return nodes * (inverse * (norm.detach() > floor))


class _AffinityDistance(torch.autograd.Function):
    """Sum over images of ||t't - s's||^2 for s (N, C, nodes), t (N, D, nodes): value and gradient in closed form."""

    @staticmethod
    def forward(ctx: Any, s: Tensor, t: Tensor) -> Tensor:
        # Under autocast the products would be of half precision.
        with torch.autocast(s.device.type, enabled=False):
            by_nodes = _cost_by_nodes(s, t) <= _cost_by_channels(s, t)
            distance, slope = (_by_nodes if by_nodes else _by_channels)(s, t, ctx.needs_input_grad[0])
        if slope is not None:
            ctx.save_for_backward(slope)
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return slope * (4 * grad), None


def _cost_by_nodes(s: Tensor, t: Tensor) -> int:
    """Multiplications per image of ``_by_nodes``."""
    return s.shape[2] ** 2 * (2 * s.shape[1] + t.shape[1])


def _cost_by_channels(s: Tensor, t: Tensor) -> int:
    """Multiplications per image of ``_by_channels``."""
    c, d = s.shape[1], t.shape[1]
    return s.shape[2] * (2 * c * c + 2 * c * d + d * d)


def _by_nodes(s: Tensor, t: Tensor, differentiate: bool) -> tuple[Tensor, Tensor | None]:
    """The distance, and a quarter of its gradient, from the affinities themselves."""
    gap = torch.baddbmm(t.mT @ t, s.mT, s, alpha=-1)
    return gap.square().sum(), -(s @ gap) if differentiate else None


def _by_channels(s: Tensor, t: Tensor, differentiate: bool) -> tuple[Tensor, Tensor | None]:
    """The same by ||t't - s's||^2 = ||tt'||^2 - 2 ||st'||^2 + ||ss'||^2.

    The three terms are summed in float64, because they nearly cancel where the student is near its teacher.
    """
    ss, st, tt = s @ s.mT, s @ t.mT, t @ t.mT
    parts = [torch.sum(product.square(), dtype=torch.float64) for product in (ss, st, tt)]
    distance = (parts[0] - 2 * parts[1] + parts[2]).clamp(min=0).to(s.dtype)
    return distance, torch.baddbmm(ss @ s, st, t, alpha=-1) if differentiate else None
