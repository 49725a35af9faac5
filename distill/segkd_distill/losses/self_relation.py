"""Relations of the pixels of one image to each other (a reconstruction of BRD's relation distillation)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses.checks import check_grids, check_mask, upcast
from segkd_distill.losses.softened_kl import softened_kl
from segkd_distill.losses.unit_vectors import unit_vectors

EXCLUDED = -1e6
"""Logit of a node that does not count: its probability is exactly 0, and yet no difference is infinite."""


def self_relation(
    s: Tensor, t: Tensor, *, temperature: float = 0.1, max_nodes: int = 1024, mask: Tensor | None = None
) -> Tensor:
    """Mean over images and nodes r of KL(p_t || p_s), p(c) = softmax over the nodes c of cos(f(r), f(c)) / temperature.

    Nodes are the cells of average pooling with the smallest window that leaves ``max_nodes`` or fewer (cells at the
    right and lower border may be smaller). There is no factor T^2, and the widths may differ. It is
    ``cross_image_relation`` restricted to pairs of an image with itself.

    Reconstructed. Zhang et al., "Boundary and Relation Distillation for Semantic Segmentation" (2024; TMLR 2026 as
    "BCKD"), published no code. Known from its abstracts: the pixel-level self-relation of teacher and student is
    matched. Ours: the cosine, the softmax over rows, the temperature, the pooling, the KL.

    Args:
        s: (N, C, h, w) student's features or logits.
        t: (N, C', h, w) the teacher's; gets no gradient.
        temperature: T > 0.
        max_nodes: at least 1; the matrices of relations have (N, nodes, nodes) entries.
        mask: (N, h, w) bool, the positions that count; nodes without any are left out as rows and as columns.

    Returns:
        Scalar: float64 for float64 input, else float32. Differentiable once.

    Raises:
        SegkdError: for grids that differ, a mask of another shape or an argument out of range.
    """
    check_grids(s, t)
    if max_nodes < 1:
        raise SegkdError(f"max_nodes must be at least 1, got {max_nodes}")
    check_mask(mask, s)
    window = _window(s.shape[2], s.shape[3], max_nodes)
    s, t = upcast(s), t.detach().to(upcast(s).dtype)
    with torch.autocast(s.device.type, enabled=False):
        of_s, of_t = _similarities(s, window, mask), _similarities(t, window, mask)
    images, nodes, _ = of_s.shape
    if mask is None:
        return softened_kl(of_s, of_t, dim=2, temperature=temperature) / (images * nodes)
    counts = _pooled(mask[:, None].to(s.dtype), window).flatten(1) > 0
    of_s, of_t = (x.masked_fill(~counts[:, None], EXCLUDED * temperature) for x in (of_s, of_t))
    total = softened_kl(of_s, of_t, dim=2, temperature=temperature, weight=counts[:, :, None])
    return total / counts.sum().clamp(min=1)


def _window(height: int, width: int, max_nodes: int) -> int:
    window = 1
    while -(-height // window) * -(-width // window) > max_nodes:
        window += 1
    return window


def _pooled(x: Tensor, window: int) -> Tensor:
    return x if window == 1 else F.avg_pool2d(x, window, ceil_mode=True)


def _similarities(x: Tensor, window: int, mask: Tensor | None) -> Tensor:
    """(N, nodes, nodes) cosines; only the direction of a node's mean matters, so a mask may simply put zeros."""
    nodes = unit_vectors(_pooled(x if mask is None else x * mask[:, None], window)).flatten(2)
    return nodes.transpose(1, 2) @ nodes
