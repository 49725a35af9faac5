"""The pixel-wise term of SKDS: the student's cross-entropy against the teacher's class probabilities."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from segkd.errors import unknown_name
from segkd_distill.losses.checks import check_mask, check_pair, upcast

REDUCTIONS = ("mean", "skds")


def pixel_cross_entropy(s: Tensor, t: Tensor, *, reduction: str = "mean", mask: Tensor | None = None) -> Tensor:
    """Mean over pixels of -sum_c softmax(t)_c log softmax(s)_c.

    That is the KL divergence plus the teacher's entropy: the gradient of ``logit_kd`` at temperature 1, another value,
    which is not 0 where student and teacher agree.

    Source: Liu et al., "Structured Knowledge Distillation for Semantic Segmentation", CVPR 2019;
    irfanICMLL/structure_knowledge_distillation ``utils/criterion.py`` (CriterionPixelWise) at ce208e1.

    Differs from the original:
        - It divides the sum over the batch by h * w alone, so the loss grows with the batch: ``reduction="skds"``,
          which is N times the mean. A published weight w at N images per batch is a weight N * w on the mean.
        - Commit d1ec858, with which numbers were published, takes its softmax over consecutive numbers of the NCHW
          buffer instead of over the classes. This is the later formula; there is no option for the scrambled one.
        - ``mask``.

    Args:
        s: (N, C, h, w) student's logits.
        t: (N, C, h, w) teacher's logits; gets no gradient.
        reduction: ``mean`` or ``skds``.
        mask: (N, h, w) bool, the pixels that count; the mean is over them, and 0 if there is none.

    Returns:
        Scalar: float64 for float64 input, else float32.

    Raises:
        SegkdError: for shapes that differ, a mask of another shape or an unknown reduction.
    """
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, REDUCTIONS)
    check_pair(s, t)
    s = upcast(s)
    p = t.detach().to(s.dtype).softmax(1)
    factor = 1 if reduction == "mean" else len(s)
    if mask is None:
        return F.cross_entropy(s, p, reduction="sum") * (factor / (s.numel() // s.shape[1]))
    check_mask(mask, s)
    total = F.cross_entropy(s, p, reduction="none").mul(mask).sum()
    return total * factor / mask.sum().clamp(min=1)
