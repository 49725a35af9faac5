"""Double similarity distillation, DSD (Feng et al., TIP 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.losses.category_similarity import category_similarity
from segkd_distill.losses.residual_attention import residual_attention
from segkd_distill.methods.at import checked_taps
from segkd_distill.methods.base import Declares, Method, Needs, StepContext, resize_to
from segkd_distill.methods.values import at_least_zero, positive, whole_number
from segkd_distill.models.output import SegOutput, TapInfo


class DoubleSimilarityDistillation(Method):
    """How attention changes between stages, and which classes respond at the same places; ``pixel``, ``category``.

    ``category`` is ``category_weight`` times ``losses.category_similarity`` of the logits, with the original's values.
    ``pixel`` is ``pixel_weight`` times ``losses.residual_attention`` of neighbouring stages and is a reconstruction
    from the abstract. No adapters. The weights are those of CIRKD's re-implementation on Cityscapes
    (``train_scripts/train_kd/train_dsd.sh`` at 05a2753), where they stand without ``kd``. A category term is around
    1e-6 and below, so that ten times it adds little unless the classes are few and the grids small; the weight stays
    the published one on purpose, since that is what a comparison with ``dsd`` compares with. Raise
    ``category_weight`` by orders of magnitude (1e5 and more) for a term of the size of the others.

    Source: Feng et al., "Double Similarity Distillation for Semantic Image Segmentation", TIP 2021; winycg/CIRKD
    ``losses/dsd.py`` at dab64db for ``category``.

    Differs from the original:
        - ``pixel``: which stages, and how maps are normalised and compared, is this project's choice.
        - ``mask_ignore``, off by default, and a teacher on another grid, which is resized to the student's.

    Args:
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.
        pixel_weight: factor on ``pixel``; 0 leaves the term and its taps out.
        category_weight: factor on ``category``; 0 leaves the term out.
        temperature: of the softmax over the positions in ``category``.
        pool: windows by which the logits are pooled first.
        taps: the stages of ``pixel``, early ones first; all are resized to the grid of the student's last one.
        mask_ignore: leave out positions whose label is to be ignored; rows without labels count in full. Where the
            stages' grids differ, resizing still mixes neighbours of ignored positions in.

    Raises:
        SegkdError: for a hyper-parameter out of range, two weights of 0, or a tap that one of the networks lacks.
    """

    paper: ClassVar[str] = "Feng et al., Double Similarity Distillation for Semantic Image Segmentation, TIP 2021"
    status: ClassVar[str] = "reconstructed"
    summary: ClassVar[str] = "change of attention between stages, and correlation of the classes' responses"
    weights_by_dataset: ClassVar[dict[str, dict[str, float]]] = {
        "cityscapes": {"pixel_weight": 1000.0, "category_weight": 10.0}
    }

    def __init__(
        self,
        student: TapInfo,
        teacher: TapInfo,
        num_classes: int,
        *,
        pixel_weight: float = 1000.0,
        category_weight: float = 10.0,
        temperature: float = 4.0,
        pool: int = 2,
        taps: Sequence[str] = ("c2", "c3", "c4"),
        mask_ignore: bool = False,
    ) -> None:
        super().__init__()
        self.pixel_weight = at_least_zero("pixel_weight", pixel_weight)
        self.category_weight = at_least_zero("category_weight", category_weight)
        if not self.pixel_weight and not self.category_weight:
            raise SegkdError("dsd needs a pixel_weight or a category_weight above 0, got 0 for both")
        self.temperature = positive("temperature", temperature)
        self.pool = whole_number("pool", pool)
        self.taps = checked_taps("dsd", taps, 2) if self.pixel_weight else ()
        self.mask_ignore = mask_ignore
        self.needs = Needs.of_both(self.taps)
        grids = {info.strides.get(tap) for info in (student, teacher) for tap in self.taps}
        self.declares = Declares(
            zero_at_identity=True, masks_ignore=mask_ignore and len(grids) <= 1, batch_symmetric=True
        )

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """The terms ``pixel`` and ``category``, those that are on."""
        terms = {}
        if self.pixel_weight:
            size = student.taps[self.taps[-1]].shape[-2:]
            stages = [[resize_to(output.taps[tap], size) for tap in self.taps] for output in (student, teacher)]
            mask = self._mask(labels, ctx, size)
            terms["pixel"] = self.pixel_weight * residual_attention(stages[0], stages[1], mask=mask)
        if self.category_weight:
            size = student.logits.shape[-2:]
            mask = self._mask(labels, ctx, size)
            wanted = resize_to(teacher.logits, size)
            loss = category_similarity(student.logits, wanted, temperature=self.temperature, pool=self.pool, mask=mask)
            terms["category"] = self.category_weight * loss
        return terms
