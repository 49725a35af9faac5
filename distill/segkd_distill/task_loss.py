"""Cross-entropy of the student against the labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def labelled_cross_entropy(logits: Tensor, labels: Tensor, *, ignore_index: int = 255) -> Tensor:
    """Cross-entropy averaged over the pixels that have a class.

    Differs from mmsegmentation's ``CrossEntropyLoss`` with its default ``avg_non_ignore=False``: that one divides by
    all pixels, ignored ones too.

    Args:
        logits: (N, K, H, W) float, at the labels' size.
        labels: (N, H, W) int64, 0..K-1; ``ignore_index`` = no class.
        ignore_index: the label that does not count.

    Returns:
        Scalar float32 (float64 for float64 logits); 0, with zero gradient, if no pixel has a class.
    """
    # Classes last: rows of a matrix, which is faster on a CPU and free for channels_last logits.
    rows = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
    rows = rows.float() if rows.dtype.itemsize < 4 else rows
    flat = labels.reshape(-1)
    labelled = flat != ignore_index
    total: Tensor = _CrossEntropySum.apply(rows, torch.where(labelled, flat, 0), labelled)
    return total / labelled.sum().clamp_min(1)


class _CrossEntropySum(torch.autograd.Function):
    """The sum of the rows' cross-entropies, its gradient made in one array: half the time of torch's on a CPU."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, target: Tensor, counted: Tensor) -> Tensor:
        """Rows (M, K) float, target (M,) int64 in 0..K-1, counted (M,) bool -> scalar."""
        log_probability = F.log_softmax(rows, 1)
        ctx.save_for_backward(log_probability, target, counted)
        own = log_probability.gather(1, target[:, None])[:, 0]
        return -torch.where(counted, own, 0).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Softmax minus one-hot, 0 in rows that do not count."""
        log_probability, target, counted = ctx.saved_tensors
        rows = log_probability.exp()
        rows.scatter_add_(1, target[:, None], -torch.ones_like(rows[:, :1]))
        return rows.mul_((counted * gradient)[:, None]), None, None
