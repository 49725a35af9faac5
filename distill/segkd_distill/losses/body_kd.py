"""Distillation of the classes' shapes away from their edges (BPKD)."""

from __future__ import annotations

from torch import Tensor

from segkd_distill.losses.channel_wise import channel_wise
from segkd_distill.losses.checks import check_pair, upcast
from segkd_distill.losses.edge_kd import check_edges


def body_kd(s: Tensor, t: Tensor, mask: Tensor, *, temperature: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """``channel_wise`` of logits that are multiplied by 1 - M, with the edge mask M.

    T^2 times the mean over images and classes of the KL divergence of two softmaxes over positions.

    Source: Liu et al., "BPKD: Boundary Privileged Knowledge Distillation for Semantic Segmentation", WACV 2024. No
    training code was ever published.

    Confirmed by the official figure 3: the complement of the edge filter, and a shape loss per channel over positions.
    From unofficial implementations, which agree: T^2, mean over classes and images. Verified against one of them, with
    its own treatment of ignored pixels, see ``methods.bpkd``. Ours: ``valid``.

    Args:
        s: (N, C, h, w) student's logits.
        t: (N, C, h, w) teacher's logits; gets no gradient.
        mask: (N, C, h, w) float in 0..1, from ``class_edges``.
        temperature: T > 0.
        valid: (N, h, w) bool, the positions over which the distributions run, see ``channel_wise``.

    Returns:
        Scalar: float64 for float64 input, else float32. Differentiable once.

    Raises:
        SegkdError: for shapes that differ, masks of another shape or a temperature <= 0.
    """
    check_pair(s, t)
    check_edges(mask, s)
    body = 1 - mask.detach().to(upcast(s).dtype)
    return channel_wise(upcast(s) * body, upcast(t).detach() * body, temperature=temperature, mask=valid)
