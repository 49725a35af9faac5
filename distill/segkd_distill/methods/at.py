"""Attention transfer, AT (Zagoruyko and Komodakis, ICLR 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from segkd.errors import SegkdError, unknown_name
from segkd_distill.losses.attention_transfer import attention_transfer
from segkd_distill.methods.base import Declares, Method, Needs, StepContext, resize_to
from segkd_distill.methods.values import at_least_zero
from segkd_distill.models.output import TAPS, SegOutput, TapInfo


def checked_taps(method: str, taps: Sequence[str], fewest: int) -> tuple[str, ...]:
    """Names of taps from a recipe.

    Raises:
        SegkdError: for something else than a list of ``fewest`` or more different taps.
    """
    names = tuple(taps) if isinstance(taps, (list, tuple)) else ()
    for name in names:
        if name not in TAPS:
            raise unknown_name("tap", str(name), TAPS)
    if len(names) < fewest or len(set(names)) < len(names):
        raise SegkdError(f"taps of {method} must be a list of at least {fewest} different taps, got {taps!r}")
    return names


class AttentionTransfer(Method):
    """Squared distance of the attention maps of one or more features; one term per tap, named after it.

    No adapter: an attention map has one channel whatever the width. The weight, 10000 because a map of unit norm has
    entries around 1 / sqrt(positions), is CIRKD's for Cityscapes (``train_scripts/train_kd/train_at.sh`` at 05a2753),
    beside ``kd``: ``--method at+kd``.

    Source: Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017; winycg/CIRKD ``losses/at.py`` at
    dab64db.

    Differs from the original:
        - The paper sums over several stages, and so does a longer ``taps``; the default is one, the last. Which
          feature CIRKD takes is not known.
        - ``mask_ignore``, off by default, and a teacher on another grid, which is resized to the student's.

    Args:
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.
        loss_weight: factor on every term.
        taps: the features.
        mask_ignore: leave out positions whose label is to be ignored; rows without labels count in full.

    Raises:
        SegkdError: for a hyper-parameter out of range, or a tap that one of the networks lacks.
    """

    paper: ClassVar[str] = "Zagoruyko and Komodakis, Paying More Attention to Attention, ICLR 2017"
    status: ClassVar[str] = "verified against original values"
    summary: ClassVar[str] = "where a feature is active, as one normalised map"
    weights_by_dataset: ClassVar[dict[str, dict[str, float]]] = {"cityscapes": {"loss_weight": 10000.0}}

    def __init__(
        self,
        student: TapInfo,
        teacher: TapInfo,
        num_classes: int,
        *,
        loss_weight: float = 10000.0,
        taps: Sequence[str] = ("c4",),
        mask_ignore: bool = False,
    ) -> None:
        super().__init__()
        self.taps = checked_taps("at", taps, 1)
        self.loss_weight = at_least_zero("loss_weight", loss_weight)
        self.mask_ignore = mask_ignore
        self.needs = Needs.of_both(self.taps)
        self.declares = Declares(masks_ignore=mask_ignore)

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """One term per tap."""
        terms = {}
        for tap in self.taps:
            feature = student.taps[tap]
            size = feature.shape[-2:]
            mask = self._mask(labels, ctx, size)
            loss = attention_transfer(feature, resize_to(teacher.taps[tap], size), mask=mask)
            terms[tap] = self.loss_weight * loss
        return terms
