"""Intra-class feature variation distillation, IFVD (Wang et al., ECCV 2020)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.losses.intra_class_variation import intra_class_variation
from segkd_distill.losses.logit_kd import REDUCTIONS
from segkd_distill.methods.base import Declares, Method, Needs, StepContext, resize_to
from segkd_distill.methods.values import at_least_zero, one_of, positive
from segkd_distill.models.output import TAPS, SegOutput, TapInfo


class IntraClassVariation(Method):
    """Similarity of pixels to the centre of their class, beside plain KD; terms ``variation`` and ``logits``.

    ``variation_weight * intra_class_variation(tap, labels) + kd_weight * logit_kd(logits)``. The classes' centres are
    taken per image, so it reads labels and acts on labelled rows only, its KD included; compose ``kd`` with
    ``kd_weight=0`` to give rows without labels their KD.

    Source: YukangWang/IFVD ``utils/criterion.py`` at 950a7a5 (its weights are the defaults: 200, and 10 on a KD that is
    divided by the number of classes), and winycg/CIRKD ``losses/ifvd.py`` at dab64db (``variation_weight=20,
    kd_weight=1, kd_reduction="mean"``).

    Differs from the original:
        - No discriminator; compose ``skds`` with ``pixel_weight=0, pairwise_weight=0, holistic=True`` (its weights
          0.001 and 0.1 are IFVD's too, which uses ``adversarial_loss="wgan-gp"``).
        - Pixels without a class add exactly 0, see ``losses.intra_class_variation``.
        - ``mask_ignore``, off by default: the original's mean runs over all pixels, and its KD over ignored ones too.
        - A teacher on another grid is resized to the student's.

    Args:
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.
        variation_weight: factor on the term ``variation``.
        kd_weight: factor on the term ``logits``; 0 leaves it out (the variation alone is reported to collapse).
        kd_reduction: ``ifvd`` or ``mean``, see ``losses.logit_kd``.
        temperature: of the KD; without effect on the scale for ``ifvd``, which has no T^2.
        tap: the feature.
        mask_ignore: take both means over the pixels that have a class.

    Raises:
        SegkdError: for a hyper-parameter out of range, or a tap that one of the networks lacks.
    """

    paper: ClassVar[str] = (
        "Wang et al., Intra-class Feature Variation Distillation for Semantic Segmentation, ECCV 2020"
    )
    status: ClassVar[str] = "verified against original values"
    summary: ClassVar[str] = "similarity of each pixel's feature to the centre of its class, and KD"
    weights_by_dataset: ClassVar[dict[str, dict[str, float]]] = {
        "cityscapes": {"variation_weight": 200.0, "kd_weight": 10.0}
    }

    def __init__(
        self,
        student: TapInfo,
        teacher: TapInfo,
        num_classes: int,
        *,
        variation_weight: float = 200.0,
        kd_weight: float = 10.0,
        kd_reduction: str = "ifvd",
        temperature: float = 1.0,
        tap: str = "context",
        mask_ignore: bool = False,
    ) -> None:
        super().__init__()
        for kind, value, known in (("kd_reduction", kd_reduction, REDUCTIONS), ("tap", tap, TAPS)):
            one_of(kind, value, known)
        self.num_classes = num_classes
        self.variation_weight = positive("variation_weight", variation_weight)
        self.kd_weight = at_least_zero("kd_weight", kd_weight)
        self.kd_reduction = kd_reduction
        self.temperature = positive("temperature", temperature)
        self.tap = tap
        self.mask_ignore = mask_ignore
        self.needs = Needs.of_both({tap}, labels=True)
        self.declares = Declares(
            zero_at_identity=True, masks_ignore=mask_ignore or not self.kd_weight, batch_symmetric=True
        )

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """The terms ``variation`` and, unless its weight is 0, ``logits``.

        Raises:
            SegkdError: if there are no labels.
        """
        if labels is None:
            raise SegkdError("ifvd needs the labels of the batch")
        s = student.taps[self.tap]
        t = resize_to(teacher.taps[self.tap], s.shape[-2:])
        loss = intra_class_variation(s, t, labels, num_classes=self.num_classes, labelled_only=self.mask_ignore)
        terms = {"variation": self.variation_weight * loss}
        if self.kd_weight:
            kd = self._logit_kd(
                (student, teacher), labels, ctx, temperature=self.temperature, reduction=self.kd_reduction
            )
            terms["logits"] = self.kd_weight * kd
        return terms
