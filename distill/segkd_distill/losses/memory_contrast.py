"""Relation to a memory bank: the similarities of each anchor to stored embeddings of the teacher (CIRKD)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segkd.errors import SegkdError
from segkd_distill.losses.checks import check_temperature, upcast

SCORES = 2**24
"""Similarities per block: few enough for a small memory, many enough that threads seldom wait for each other."""


class _MemoryKL(torch.autograd.Function):
    """KL over the keys, block of anchors by block; the gradients are made on the way, no similarity is kept."""

    @staticmethod
    def forward(ctx: Any, s: Tensor, t: Tensor, keys: Tensor) -> Tensor:
        rows = min(max(1, SCORES // len(keys)), len(s))
        room = s.new_empty(2, 2, rows, len(keys))  # fresh memory in every block would cost more than some of the work
        slope = torch.empty_like(s) if ctx.needs_input_grad[0] else None
        slope_of_keys = torch.zeros_like(keys) if ctx.needs_input_grad[2] else None
        total = s.new_zeros(())
        with torch.autocast(s.device.type, enabled=False):
            for start in range(0, len(s), rows):
                of_s, of_t = s[start : start + rows], t[start : start + rows]
                scores, (q, p) = room[..., : len(of_s), :]
                for x, out in zip((of_s, of_t), scores, strict=True):
                    torch.mm(x, keys.T, out=out)
                for score, probability in zip(scores, (q, p), strict=True):
                    torch.softmax(score, 1, out=probability)
                # KL = sum(p (log p - log q)), where log p - log q is the gap of the scores less that of their
                # log-sum-exp, which follows from the largest entry of a row without further exponentials.
                log_sum_exp = scores.amax(2) - torch.stack([q.amax(1), p.amax(1)]).log()
                free, gap = scores[0], scores[1].sub_(scores[0])
                mean_gap = torch.mul(p, gap, out=free).sum(1, keepdim=True)
                total += mean_gap.sum() + (log_sum_exp[0] - log_sum_exp[1]).sum()
                excess = q.sub_(p)
                if slope is not None:
                    torch.mm(excess, keys, out=slope[start : start + rows])
                if slope_of_keys is not None:
                    slope_of_keys.addmm_(excess.T, of_s).addmm_(gap.sub_(mean_gap).mul_(p).T, of_t)
        ctx.save_for_backward(slope, slope_of_keys)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        slope, slope_of_keys = ctx.saved_tensors
        return (
            slope * grad if slope is not None else None,
            None,
            slope_of_keys * grad if slope_of_keys is not None else None,
        )


def memory_contrast(s: Tensor, t: Tensor, keys: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Mean over the anchors of KL(softmax_k(t . key_k / temperature) || softmax_k(s . key_k / temperature)).

    Anchors and keys are taken as they are: give vectors of length 1 (``losses.unit_vectors``) for cosine similarities.

    Source: Yang et al., "Cross-Image Relational Knowledge Distillation for Semantic Segmentation", CVPR 2022;
    winycg/CIRKD ``losses/cirkd_memory.py`` at dab64db (``StudentSegContrast.contrast_sim_kd``).

    Differs from the original: the values are its own, but the similarities are not kept for the backward pass.

    Args:
        s: (A, d) the student's anchors, or (N, d, h, w), each of whose pixels is one.
        t: the teacher's, the same shape; gets no gradient.
        keys: (K, d) embeddings from a bank; the gradient to them, where asked for, is that of both distributions.
        temperature: > 0.

    Returns:
        Scalar, 0 if there is no anchor: float64 for float64 input, else float32. Differentiable once.

    Raises:
        SegkdError: for shapes that do not fit, no key or a temperature <= 0.
    """
    fits = s.shape == t.shape and s.dim() in (2, 4) and keys.dim() == 2 and s.shape[1] == keys.shape[1]
    if not fits or not len(keys):
        raise SegkdError(
            "student and teacher anchors must have one shape, (A, d) or (N, d, h, w), with keys (K, d), K > 0; "
            f"got {tuple(s.shape)}, {tuple(t.shape)} and {tuple(keys.shape)}"
        )
    check_temperature(temperature)
    s = upcast(s)
    if s.dim() == 4:
        s, t = (x.movedim(1, -1).flatten(0, 2) for x in (s, t))
    if not len(s):
        return s.sum() * 0
    total: Tensor = _MemoryKL.apply(s, t.detach().to(s.dtype), keys.to(s.dtype) / temperature)
    return total / len(s)
