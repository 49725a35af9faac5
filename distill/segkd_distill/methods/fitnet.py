"""FitNets' hint on a segmentation network (Romero et al., ICLR 2015)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from segkd_distill.losses.hint import hint
from segkd_distill.methods.base import Declares, Method, Needs, StepContext, resize_to
from segkd_distill.methods.values import at_least_zero, one_of
from segkd_distill.models.output import TAPS, SegOutput, TapInfo


class FitNet(Method):
    """Mean squared distance of one feature, term ``hint``.

    A 1x1 convolution without bias, the regressor, brings the student's feature to the teacher's width; where the
    widths agree there is none. The value is the original's with the same regressor. The weight is CIRKDv2's.

    Source: Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015; winycg/CIRKD ``losses/fitnet.py`` at dab64db.

    Differs from the original:
        - FitNets trains up to the hinted layer first and goes on with logits alone; here, as in CIRKD, the hint is a
          term beside the task loss for the whole run.
        - No regressor where the widths agree; FitNets always has one, and CIRKD's choice there is not known.
        - ``mask_ignore``, off by default, and a teacher on another grid, which is resized to the student's.

    Args:
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.
        loss_weight: factor on the term.
        tap: the feature. Published: a middle layer (FitNets). Which one CIRKD takes is not known; ``decoder`` is what
            its other feature losses take.
        mask_ignore: leave out positions whose label is to be ignored; rows without labels count in full.

    Raises:
        SegkdError: for a hyper-parameter out of range, or a tap that one of the networks lacks.
    """

    paper: ClassVar[str] = "Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015"
    status: ClassVar[str] = "verified against original values"
    summary: ClassVar[str] = "mean squared distance of one feature"
    weights_by_dataset: ClassVar[dict[str, dict[str, float]]] = {
        "cityscapes": {"loss_weight": 1.0},
        "voc": {"loss_weight": 1.0},
        "ade20k": {"loss_weight": 1.0},
        "coco_stuff": {"loss_weight": 10.0},
    }

    def __init__(
        self,
        student: TapInfo,
        teacher: TapInfo,
        num_classes: int,
        *,
        loss_weight: float = 1.0,
        tap: str = "decoder",
        mask_ignore: bool = False,
    ) -> None:
        super().__init__()
        self.loss_weight = at_least_zero("loss_weight", loss_weight)
        self.tap = one_of("tap", tap, TAPS)
        self.mask_ignore = mask_ignore
        self.needs = Needs.of_both({tap})
        widths = self.needs.widths("fitnet", tap, student, teacher)
        equal = widths[0] == widths[1]
        self.regressor: nn.Module = nn.Identity() if equal else nn.Conv2d(*widths, 1, bias=False)
        self.declares = Declares(zero_at_identity=equal, masks_ignore=mask_ignore, batch_symmetric=True)

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """The term ``hint``."""
        feature = self.regressor(student.taps[self.tap])
        size = feature.shape[-2:]
        mask = self._mask(labels, ctx, size)
        return {"hint": self.loss_weight * hint(feature, resize_to(teacher.taps[self.tap], size), mask=mask)}
