"""Cross-entropy of the student against the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from segkd.errors import SegkdError, unknown_name
from segkd.recipe import Named, split_named


@dataclass(frozen=True)
class Ohem:
    """Online hard example mining: only the pixels count that the network finds hard.

    A pixel is hard if the probability of its class is below ``threshold``; if too few are, the ones with the lowest
    probability count until there are ``min_kept``.

    Source: HRNet-Semantic-Segmentation, lib/core/criterion.py ``OhemCrossEntropy``; open-mmlab's mmseg,
    core/seg/sampler/ohem_pixel_sampler.py. Published settings: 0.7 and 100000 in mmseg's, 0.9 and 131072 with
    ``min_kept_per="batch"`` in HRNet's for Cityscapes.

    Differs from the originals:
    - HRNet counts ``min_kept`` per process whatever the batch (``min_kept_per="batch"``), mmseg per image
      (``"image"``, the default; in both the pixels of the batch compete with each other).
    - HRNet averages over the hard pixels (``average="hard"``, the default), mmseg over all pixels, ignored ones too
      (``"all"``), which makes the loss smaller the fewer are hard.
    - With no more labelled pixels than ``min_kept`` all count; the originals leave out the easiest one, and HRNet gives
      nan if that was the only one.

    Attributes:
        threshold: probability, 0..1.
        min_kept: pixels.
        min_kept_per: ``image`` or ``batch``.
        average: ``hard`` or ``all``.
    """

    threshold: float = 0.7
    min_kept: int = 100_000
    min_kept_per: str = "image"
    average: str = "hard"

    def __post_init__(self) -> None:
        number = isinstance(self.threshold, float | int) and not isinstance(self.threshold, bool)
        if not number or not 0 <= self.threshold <= 1:
            raise SegkdError(f"loss ohem: threshold must be a probability, 0 to 1, got {self.threshold!r}")
        if type(self.min_kept) is not int or self.min_kept < 1:
            raise SegkdError(f"loss ohem: min_kept must be a whole number above 0, got {self.min_kept!r}")
        for key, known in (("min_kept_per", ("image", "batch")), ("average", ("hard", "all"))):
            if getattr(self, key) not in known:
                raise SegkdError(f"loss ohem: {key} must be {' or '.join(known)}, got {getattr(self, key)!r}")


class TaskLoss(nn.Module):
    """The loss against the labels: cross-entropy with class weights, over all pixels or the hard ones.

    Args:
        weights: one per class, or None.
        ohem: which pixels count for the main head, or None for all. The auxiliary head always counts all, as in HRNet.

    Attributes:
        name: ``ce`` or ``ohem``.
        weights: (K,) float, not part of the state dict, or None.
    """

    weights: Tensor | None

    def __init__(self, weights: Sequence[float] | None = None, ohem: Ohem | None = None) -> None:
        super().__init__()
        self.ohem = ohem
        self.name = "ce" if ohem is None else "ohem"
        values = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self.register_buffer("weights", values, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, *, ignore_index: int, auxiliary: bool = False) -> Tensor:
        """Scalar loss of logits (N, K, H, W) at the size of labels (N, H, W) int64; see the functions below."""
        if self.ohem is None or auxiliary:
            return labelled_cross_entropy(logits, labels, ignore_index=ignore_index, class_weights=self.weights)
        return hard_cross_entropy(logits, labels, self.ohem, ignore_index=ignore_index, class_weights=self.weights)


def build_task_loss(loss: Named, weights: Sequence[float] | None) -> TaskLoss:
    """The loss of ``train.loss``: ``ce``, ``ohem``, or ``{ohem: {threshold: 0.7, ...}}``.

    Raises:
        SegkdError: for an unknown name or option, or an option's value that is none.
    """
    name, options = split_named(loss)
    if name not in ("ce", "ohem"):
        raise unknown_name("loss", name, ("ce", "ohem"))
    known = [item.name for item in fields(Ohem)] if name == "ohem" else []
    for key in options:
        if not known:
            raise SegkdError(f"loss ce has no options, got {key}")
        if key not in known:
            raise unknown_name(f"option of {name}", key, known)
    return TaskLoss(weights, Ohem(**options) if name == "ohem" else None)


def labelled_cross_entropy(
    logits: Tensor, labels: Tensor, *, ignore_index: int = 255, class_weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy averaged over the pixels that have a class.

    With class weights the average is weighted, as ``torch.nn.CrossEntropyLoss`` does it: the sum of weighted losses
    over the sum of the pixels' weights.

    Differs from mmsegmentation's ``CrossEntropyLoss`` with its default ``avg_non_ignore=False``: that one divides by
    all pixels, ignored ones too, and not by the weights.

    Args:
        logits: (N, K, H, W) float, at the labels' size.
        labels: (N, H, W) int64, 0..K-1; ``ignore_index`` = no class.
        ignore_index: the label that does not count.
        class_weights: (K,) float, or None for 1 everywhere.

    Returns:
        Scalar float32 (float64 for float64 logits); 0, with zero gradient, if no pixel has a class.
    """
    rows, target, labelled = _as_rows(logits, labels, ignore_index)
    if class_weights is None:
        total: Tensor = _CrossEntropySum.apply(rows, target, labelled, None)
        return total / labelled.sum().clamp_min(1)
    weights = class_weights.to(rows.dtype)[target]
    weighted: Tensor = _CrossEntropySum.apply(rows, target, labelled, weights)
    shared = torch.where(labelled, weights, 0).sum()
    return weighted / torch.where(shared > 0, shared, 1)


def hard_cross_entropy(
    logits: Tensor, labels: Tensor, ohem: Ohem, *, ignore_index: int = 255, class_weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy over the hard pixels; see :class:`Ohem`.

    With class weights each hard pixel's loss is weighted, and their number divides the sum, as in HRNet.

    Args:
        logits: (N, K, H, W) float, at the labels' size.
        labels: (N, H, W) int64, 0..K-1; ``ignore_index`` = no class.
        ohem: which pixels are hard.
        ignore_index: the label that does not count.
        class_weights: (K,) float, or None for 1 everywhere.

    Returns:
        Scalar float32 (float64 for float64 logits); 0, with zero gradient, if no pixel has a class.
    """
    rows, target, labelled = _as_rows(logits, labels, ignore_index)
    with torch.no_grad():
        probability = F.log_softmax(rows, 1).gather(1, target[:, None])[:, 0].exp()
        hard = labelled & (probability < ohem.threshold)
        wanted = ohem.min_kept * (len(labels) if ohem.min_kept_per == "image" else 1)
        ranked = torch.where(labelled, probability, torch.inf)
        if wanted < len(ranked):
            hard |= labelled & (ranked <= ranked.kthvalue(wanted).values)
        else:
            hard = labelled
    weights = None if class_weights is None else class_weights.to(rows.dtype)[target]
    total: Tensor = _CrossEntropySum.apply(rows, target, hard, weights)
    return total / (hard.sum().clamp_min(1) if ohem.average == "hard" else max(1, len(rows)))


def _as_rows(logits: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (M, K), their labels with 0 in the place of none, and whether there is one."""
    # Classes last: rows of a matrix, which is faster on a CPU and free for channels_last logits.
    rows = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
    rows = rows.float() if rows.dtype.itemsize < 4 else rows
    flat = labels.reshape(-1)
    labelled = flat != ignore_index
    return rows, torch.where(labelled, flat, 0), labelled


class _CrossEntropySum(torch.autograd.Function):
    """The sum of the rows' cross-entropies, its gradient made in one array: half the time of torch's on a CPU."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, target: Tensor, counted: Tensor, weights: Tensor | None) -> Tensor:
        """Rows (M, K) float, target (M,) int64 in 0..K-1, counted (M,) bool, weights (M,) or None -> scalar."""
        log_probability = F.log_softmax(rows, 1)
        factors = counted if weights is None else torch.where(counted, weights, 0)
        ctx.save_for_backward(log_probability, target, factors)
        own = torch.where(counted, log_probability.gather(1, target[:, None])[:, 0], 0)
        return -(own if weights is None else own * factors).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Softmax minus one-hot, times the row's weight; 0 in rows that do not count."""
        log_probability, target, factors = ctx.saved_tensors
        rows = log_probability.exp()
        rows.scatter_add_(1, target[:, None], -torch.ones_like(rows[:, :1]))
        return rows.mul_((factors * gradient)[:, None]), None, None, None
