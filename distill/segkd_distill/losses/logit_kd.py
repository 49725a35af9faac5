"""Plain knowledge distillation on logits: one distribution over the classes per pixel."""

from __future__ import annotations

from torch import Tensor

from segkd.errors import unknown_name
from segkd_distill.losses.checks import check_mask
from segkd_distill.losses.softened_kl import softened_kl

REDUCTIONS = ("mean", "ifvd")


def logit_kd(
    s: Tensor, t: Tensor, *, temperature: float = 1.0, mask: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """T^2 times the mean over pixels of KL(softmax_c(t / T) || softmax_c(s / T)).

    Source: Hinton et al. 2015, per pixel as in winycg/CIRKD ``losses/kd.py`` at dab64db (``reduction="mean"``) or as in
    YukangWang/IFVD ``utils/criterion.py`` at 950a7a5 (``reduction="ifvd"``: no T^2, and the mean runs over the
    N*C*h*w elements, which is C times smaller).

    Differs from the originals:
        - ``mask``; without it the values are theirs.
        - log-softmax on both sides, at least in float32.

    Args:
        s: (N, C, h, w) student's logits.
        t: (N, C, h, w) teacher's logits; gets no gradient.
        temperature: T > 0.
        mask: (N, h, w) bool, the pixels that count; the mean is over them, and 0 if there is none.
        reduction: ``mean`` or ``ifvd``.

    Returns:
        Scalar: float64 for float64 input, else float32.

    Raises:
        SegkdError: for shapes that differ, a mask of another shape, an unknown reduction or a temperature <= 0.
    """
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, REDUCTIONS)
    factor = temperature**2 if reduction == "mean" else 1 / s.shape[1]
    if mask is None:
        return softened_kl(s, t, dim=1, temperature=temperature) * (factor / (s.numel() // s.shape[1]))
    check_mask(mask, s)
    total = softened_kl(s, t, dim=1, temperature=temperature, weight=mask[:, None])
    return total * factor / mask.sum().clamp(min=1)
