"""Channel-wise distillation, CWD (Shu et al., ICCV 2021)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from segkd_distill.losses.channel_wise import channel_wise
from segkd_distill.methods.base import Declares, Method, Needs, StepContext, resize_to
from segkd_distill.methods.values import at_least_zero, one_of, positive
from segkd_distill.models.output import TAPS, SegOutput, TapInfo

PLACES = ("logits", "features", "both")
ADAPTERS = ("conv", "conv_bn_relu")


def _adapter(kind: str, student_width: int, teacher_width: int) -> nn.Module:
    if kind == "conv":
        if student_width == teacher_width:
            return nn.Identity()
        return nn.Conv2d(student_width, teacher_width, 1, bias=False)
    return nn.Sequential(
        nn.Conv2d(student_width, teacher_width, 1, bias=False), nn.BatchNorm2d(teacher_width), nn.ReLU(inplace=True)
    )


class ChannelWiseDistillation(Method):
    """Spatial distributions of each channel of the logits, of a feature, or of both; terms ``logits``, ``features``.

    Presets: TorchDistiller's logits (the default: T=4, weight 3); mmrazor's logits (``temperature=1,
    logits_weight=5``); CIRKD's ``on="both", legacy_divisor=True``, beside ``kd``; TorchDistiller's features
    (``on="features", tap="context", adapter="conv_bn_relu"``).

    Differs from the originals:
        - log-softmax: they overflow where a probability underflows (mmrazor does not).
        - The feature loss is divided by the width that is compared, the teacher's. CIRKD (``losses/cwd.py`` at
          dab64db) reads the width before its adapter and divides by the student's: ``legacy_divisor=True``.
        - ``mask_ignore``, off by default: they let ignored pixels count.
        - A teacher on another grid is resized to the student's.

    Args:
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.
        on: ``logits``, ``features`` or ``both``.
        temperature: of both softmaxes; the loss is multiplied by its square.
        logits_weight: factor on the term ``logits``.
        feature_weight: factor on the term ``features``.
        tap: the feature: ``decoder`` as in CIRKD or ``context`` as in TorchDistiller.
        adapter: ``conv`` (1x1, no bias, only where the widths differ) or ``conv_bn_relu`` (always there).
        legacy_divisor: divide the feature loss by the student's width.
        mask_ignore: leave out positions whose label is to be ignored; rows without labels count in full.

    Raises:
        SegkdError: for a hyper-parameter out of range, or a tap that one of the networks lacks.
    """

    paper: ClassVar[str] = "Shu et al., Channel-wise Knowledge Distillation for Dense Prediction, ICCV 2021"
    status: ClassVar[str] = "verified against original values"
    summary: ClassVar[str] = "spatial distribution of each channel of the logits or of a feature"
    weights_by_dataset: ClassVar[dict[str, dict[str, float]]] = {
        "cityscapes": {"logits_weight": 3.0, "feature_weight": 50.0}
    }

    def __init__(
        self,
        student: TapInfo,
        teacher: TapInfo,
        num_classes: int,
        *,
        on: str = "logits",
        temperature: float = 4.0,
        logits_weight: float = 3.0,
        feature_weight: float = 50.0,
        tap: str = "decoder",
        adapter: str = "conv",
        legacy_divisor: bool = False,
        mask_ignore: bool = False,
    ) -> None:
        super().__init__()
        for kind, value, known in (("on", on, PLACES), ("tap", tap, TAPS), ("adapter", adapter, ADAPTERS)):
            one_of(kind, value, known)
        self.temperature = positive("temperature", temperature)
        self.logits_weight = at_least_zero("logits_weight", logits_weight)
        self.feature_weight = at_least_zero("feature_weight", feature_weight)
        self.on_logits, self.on_features = on != "features", on != "logits"
        self.tap = tap
        self.mask_ignore = mask_ignore
        self.adapter: nn.Module = nn.Identity()
        self.needs = Needs()
        if self.on_features:
            self.needs = Needs.of_both({tap})
            widths = self.needs.widths("cwd", tap, student, teacher)
            self.adapter = _adapter(adapter, *widths)
            if legacy_divisor:
                self.feature_weight *= widths[1] / widths[0]
        self.declares = Declares(
            zero_at_identity=isinstance(self.adapter, nn.Identity),
            # Batch statistics see every pixel.
            masks_ignore=mask_ignore and not isinstance(self.adapter, nn.Sequential),
            batch_symmetric=True,
        )

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """The terms ``logits`` and ``features``, those that are on."""
        terms = {}
        if self.on_logits:
            loss = self._channel_wise(student.logits, teacher.logits, labels, ctx)
            terms["logits"] = self.logits_weight * loss
        if self.on_features:
            adapted = self.adapter(student.taps[self.tap])
            terms["features"] = self.feature_weight * self._channel_wise(adapted, teacher.taps[self.tap], labels, ctx)
        return terms

    def _channel_wise(self, s: Tensor, t: Tensor, labels: Tensor | None, ctx: StepContext) -> Tensor:
        size = s.shape[-2:]
        mask = self._mask(labels, ctx, size)
        return channel_wise(s, resize_to(t, size), temperature=self.temperature, mask=mask)
