"""Plain knowledge distillation of the logits (Hinton et al. 2015)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from segkd_distill.losses.logit_kd import REDUCTIONS
from segkd_distill.methods.base import Declares, Method, Needs, StepContext
from segkd_distill.methods.values import at_least_zero, one_of, positive
from segkd_distill.models.output import SegOutput, TapInfo


class LogitKD(Method):
    """Per-pixel KL divergence of the class distributions, term ``logits``.

    Defaults are CIRKD's and Af-DCD's: temperature 1, weight 1 (Af-DCD: 0.5 on ADE20K and COCO-Stuff). IFVD and
    TorchDistiller: ``reduction="ifvd", loss_weight=10``.

    Differs from the originals:
        - ``mask_ignore``, off by default: they let ignored pixels count.
        - A teacher on another grid is resized to the student's.

    Args:
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.
        temperature: of both softmaxes; the loss is multiplied by its square.
        loss_weight: factor on the term.
        mask_ignore: leave out pixels whose label is to be ignored; rows without labels count in full.
        reduction: ``mean`` over pixels, or ``ifvd``, see ``losses.logit_kd``.

    Raises:
        SegkdError: for a hyper-parameter out of range.
    """

    paper: ClassVar[str] = "Hinton et al., Distilling the Knowledge in a Neural Network, 2015"
    status: ClassVar[str] = "verified against original values"
    summary: ClassVar[str] = "class distribution of each pixel"
    weights_by_dataset: ClassVar[dict[str, dict[str, float]]] = {
        name: {"loss_weight": 1.0} for name in ("cityscapes", "voc", "camvid", "ade20k", "coco_stuff")
    }

    def __init__(
        self,
        student: TapInfo,
        teacher: TapInfo,
        num_classes: int,
        *,
        temperature: float = 1.0,
        loss_weight: float = 1.0,
        mask_ignore: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.temperature = positive("temperature", temperature)
        self.loss_weight = at_least_zero("loss_weight", loss_weight)
        self.mask_ignore = mask_ignore
        self.reduction = one_of("reduction", reduction, REDUCTIONS)
        self.needs = Needs()
        self.declares = Declares(masks_ignore=mask_ignore)

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """The term ``logits``."""
        loss = self._logit_kd((student, teacher), labels, ctx, temperature=self.temperature, reduction=self.reduction)
        return {"logits": self.loss_weight * loss}
