"""Distillation of the classes' distributions on edges (BPKD)."""

from __future__ import annotations

import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.losses.checks import check_mask, check_pair, upcast
from segkd_distill.losses.softened_kl import softened_kl


def check_edges(mask: Tensor, s: Tensor) -> None:
    """Refuse an edge mask that does not have one float per logit.

    Raises:
        SegkdError: if the shape is another or the mask is not float.
    """
    if mask.shape != s.shape or not mask.is_floating_point():
        raise SegkdError(
            f"the edge mask must be float of shape {tuple(s.shape)}, as class_edges makes it, "
            f"got {mask.dtype} of {tuple(mask.shape)}"
        )


def edge_kd(
    s: Tensor,
    t: Tensor,
    mask: Tensor,
    *,
    temperature: float = 1.0,
    class_weight: float | Tensor = 2.0,
    pre_mask: bool = True,
    post_mask: bool = True,
    valid: Tensor | None = None,
) -> Tensor:
    """Mean over images of the sum over classes c of ``class_weight[c] / n_c * sum_i M_c,i * KL_i``.

    KL_i is T^2 times the KL divergence of the softmaxes over classes at position i, of logits that are multiplied by
    the edge mask M (the paper's pre-mask filter, PrM); weighting it by M_c,i is its post-mask filter, PoM. n_c is the
    number of positions of the image where M_c > 0; a class without edges adds 0. Logits of classes that have no edge
    at i become 0, and a small M flattens a distribution as a higher temperature does.

    Source: Liu et al., "BPKD: Boundary Privileged Knowledge Distillation for Semantic Segmentation", WACV 2024. No
    training code was ever published.

    Confirmed by the official figure 3 and supplement: the order of PrM, softmax, KL summed over classes, PoM, division
    by the number of mask pixels, class weights, average. From unofficial implementations, which agree: n_c per image
    and class, sum over classes, mean over images, T^2, class weight 2 for all. Verified against one of them,
    lamnmh05/Semantic-Segmentation-with-Knowledge-Distilled-SegFormer ``src/distillers/bpkd.py`` at 25d60b7 (at 3109a51
    it divides by the sum of M_c instead of n_c). Ours: ``valid``, and that without PoM a class with edges charges every
    position in full.

    Args:
        s: (N, C, h, w) student's logits.
        t: (N, C, h, w) teacher's logits; gets no gradient.
        mask: (N, C, h, w) float in 0..1, from ``class_edges``.
        temperature: T > 0.
        class_weight: one number, or (C,).
        pre_mask: multiply the logits by the mask.
        post_mask: weight the divergences by the mask.
        valid: (N, h, w) bool, the positions that count.

    Returns:
        Scalar: float64 for float64 input, else float32. Differentiable once.

    Raises:
        SegkdError: for shapes that differ, masks of another shape or a temperature <= 0.
    """
    check_pair(s, t)
    check_edges(mask, s)
    s, t, mask = upcast(s), upcast(t), mask.detach().to(upcast(s).dtype)
    if valid is not None:
        check_mask(valid, s)
        mask = mask * valid[:, None]
    pixels = (mask > 0).sum((2, 3), keepdim=True)
    per_class = torch.as_tensor(class_weight, dtype=s.dtype, device=s.device).view(1, -1, 1, 1)
    per_class = per_class * (pixels > 0) / pixels.clamp(min=1)
    weight = (per_class * mask if post_mask else per_class).sum(1, keepdim=True)
    if valid is not None:
        weight = weight * valid[:, None]
    if pre_mask:
        s, t = s * mask, t.detach() * mask
    return softened_kl(s, t, dim=1, temperature=temperature, weight=weight) * (temperature**2 / len(s))
