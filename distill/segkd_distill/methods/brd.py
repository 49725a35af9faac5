"""Boundary and relation distillation, BRD (Zhang et al. 2024): our reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from segkd_distill.losses.self_relation import self_relation
from segkd_distill.losses.semantic_boundary import semantic_boundary
from segkd_distill.methods.at import checked_taps
from segkd_distill.methods.base import Declares, Method, Needs, StepContext, resize_to
from segkd_distill.methods.values import at_least_zero, one_of, positive, whole_number
from segkd_distill.models.output import TAPS, SegOutput, TapInfo

LOGITS = "logits"


class BoundaryRelationDistillation(Method):
    """Boundaries in the backbone's stages, relations in the decoder, and KD; terms ``boundary, relation, logits``.

    ``boundary_weight * semantic_boundary(stages) + relation_weight * self_relation(decoder) + kd_weight * logit_kd``.
    It needs no adapter and no labels. A term of weight 0 is left out, and its taps are not needed.

    Reconstructed: the paper's formulas could not be read and no code is published, so none of the paper's numbers are
    claimed. It appeared as "Boundary and Relation Distillation for Semantic Segmentation" (BRD, January 2024), then
    "complementary" (BCD) and, in TMLR 2026, "customized" (BCKD) knowledge distillation.

    Confirmed by the abstracts: boundaries are made explicit from the backbone's hierarchical features without labels;
    pixel-level self-relations are matched; both are added to the task loss and plain KD; nothing is left at inference.
    Stated by a third party: the boundaries come from the affinity of pairs of pixels. Ours: all that
    ``losses.semantic_boundary`` and ``losses.self_relation`` say is ours, the stages c1 to c4, the decoder as the
    feature of the relations, and the three weights.

    Args:
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.
        boundary_weight: factor on the term ``boundary``; 0.5 to 50 are sensible.
        relation_weight: factor on the term ``relation``.
        kd_weight: factor on the term ``logits``.
        stages: features whose boundaries are compared.
        boundary_temperature: if given, boundary maps are compared as spatial distributions at this temperature.
        relation_on: a tap, or ``logits``.
        relation_temperature: of the relations' softmaxes.
        max_nodes: the relations' feature is pooled to so many positions.
        temperature: of the KD, which is multiplied by its square.
        mask_ignore: leave out positions whose label is to be ignored; rows without labels count in full.

    Raises:
        SegkdError: for a hyper-parameter out of range, or a tap that one of the networks lacks.
    """

    paper: ClassVar[str] = "Zhang et al., Boundary and Relation Distillation for Semantic Segmentation, arXiv 2024"
    status: ClassVar[str] = "reconstructed"
    summary: ClassVar[str] = "boundary maps of the backbone's stages, self-relations of the decoder, and KD"

    def __init__(
        self,
        student: TapInfo,
        teacher: TapInfo,
        num_classes: int,
        *,
        boundary_weight: float = 10.0,
        relation_weight: float = 1.0,
        kd_weight: float = 1.0,
        stages: Sequence[str] = ("c1", "c2", "c3", "c4"),
        boundary_temperature: float | None = None,
        relation_on: str = "decoder",
        relation_temperature: float = 0.1,
        max_nodes: int = 1024,
        temperature: float = 1.0,
        mask_ignore: bool = False,
    ) -> None:
        super().__init__()
        self.boundary_weight = at_least_zero("boundary_weight", boundary_weight)
        self.relation_weight = at_least_zero("relation_weight", relation_weight)
        self.kd_weight = at_least_zero("kd_weight", kd_weight)
        self.stages = checked_taps("brd", stages, 1)
        self.boundary_temperature = boundary_temperature
        if boundary_temperature is not None:
            self.boundary_temperature = positive("boundary_temperature", boundary_temperature)
        self.relation_on = one_of("relation_on", relation_on, (*TAPS, LOGITS))
        self.relation_temperature = positive("relation_temperature", relation_temperature)
        self.max_nodes = whole_number("max_nodes", max_nodes, 2)
        self.temperature = positive("temperature", temperature)
        self.mask_ignore = mask_ignore

        taps = set(self.stages if self.boundary_weight else ())
        if self.relation_weight and relation_on != LOGITS:
            taps.add(relation_on)
        self.needs = Needs.of_both(taps)
        self.declares = Declares(masks_ignore=mask_ignore)

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """The terms ``boundary``, ``relation`` and ``logits``, those whose weight is not 0."""
        terms = {}

        if self.boundary_weight:
            s_list, t_list = ([output.taps[tap] for tap in self.stages] for output in (student, teacher))
            per_stage = [self._mask(labels, ctx, s.shape[-2:]) for s in s_list]
            masks = [mask for mask in per_stage if mask is not None] or None
            boundary = semantic_boundary(s_list, t_list, temperature=self.boundary_temperature, masks=masks)
            terms["boundary"] = self.boundary_weight * boundary

        if self.relation_weight:
            s, t = (
                output.logits if self.relation_on == LOGITS else output.taps[self.relation_on]
                for output in (student, teacher)
            )
            relation = self_relation(
                s,
                resize_to(t, s.shape[-2:]),
                temperature=self.relation_temperature,
                max_nodes=self.max_nodes,
                mask=self._mask(labels, ctx, s.shape[-2:]),
            )
            terms["relation"] = self.relation_weight * relation

        if self.kd_weight:
            kd = self._logit_kd((student, teacher), labels, ctx, temperature=self.temperature)
            terms["logits"] = self.kd_weight * kd
        return terms
