"""Attention-guided feature distillation, AttnFD (Mansurian et al.)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from segkd_distill.losses.attention_feature import NORMS, attention_feature
from segkd_distill.losses.cbam import CBAM, parameter_free_cbam
from segkd_distill.losses.connector import Connector
from segkd_distill.methods.base import Declares, Group, Method, Needs, StepContext, resize_to
from segkd_distill.methods.values import at_least_zero, one_of, whole_number
from segkd_distill.models.output import SegOutput, TapInfo

FEATURES = ("c4_pre", "context", "decoder")
TEACHER_CBAMS = ("parameter_free", "learned", "random")
CONNECTOR_PHASES = ("joint", "connectors_only")


SHORTEST_PHASE = 300
"""Steps of the connector phase where the first epoch is shorter."""


class AttentionFeatureDistillation(Method):
    """Distance of CBAM-refined, normalised features at three taps; terms ``c4_pre``, ``context``, ``decoder``.

    Per tap: refine the student's feature with CBAM, bring it to the teacher's width with a connector (1x1 convolution
    and BatchNorm), refine the teacher's with CBAM, divide each by its Frobenius norm over the whole batch, and take the
    squared distance over the number of images, times ``loss_weight``.

    The connectors train in a first phase, the first epoch or some hundred steps, and then stay as they are (their
    BatchNorm goes on with the statistics of the batch). During the phase the student is never idle: it learns from its
    task loss and, with ``connector_phase="joint"``, from this method's terms as well, together with its connectors.

    Source: Mansurian et al., "Attention as Geometric Transformation: Revisiting Feature Distillation for Semantic
    Segmentation" (first "Attention-guided Feature Distillation for Semantic Segmentation"), AmirMansurian/AttnFD at
    f090bbe: ``distiller.py``, ``cbam.py``, ``train_kd.py``.

    Differs from the original:
        - It updates nothing but the connectors in epoch 0. A loss cannot hold the student still here; with
          ``connector_phase="connectors_only"`` the terms reach the connectors alone, as there, while the student
          learns from its task loss.
        - The teacher's CBAM has no weights. There it has those that the checkpoint holds, which the published training
          never learned: ``teacher_cbam="random"``.
        - All of the student's CBAM learns. There the optimiser collects convolutions and BatchNorm only, so that the
          channel gates stay as initialised: ``learn_channel_gates=False`` (``train_kd.py``).
        - The teacher is in eval mode and without gradients; there it runs in train mode, with them.
        - ``norm="sample"``, ``mask_ignore``, and a teacher on another grid, which is resized to the student's.

    Args:
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.
        loss_weight: factor on the three terms; 2 is the published value for Pascal VOC, none is known for others.
        norm: ``batch``, one norm per tensor as published (a term depends on which images are in the batch), or
            ``sample``, one per image (terms N times larger).
        teacher_cbam: ``parameter_free``; ``learned``, with weights that learn in the connector phase and then stay
            (the authors would insert it in the teacher's own training, which needs such a teacher); or ``random``,
            with weights as initialised, as ``distiller.py`` at f090bbe has it in effect.
        connector_iters: steps of the connector phase; None for the first epoch of the labelled data, as published, but
            at least ``SHORTEST_PHASE`` steps or a third of the run, whichever is less: with few labels an epoch is a
            handful of steps.
        freeze_connectors: False lets the connectors learn to the end, as adapters usually do.
        connector_phase: ``joint`` or ``connectors_only``, see above.
        learn_channel_gates: False leaves the channel gates as initialised, as ``train_kd.py`` at f090bbe does.
        mask_ignore: positions whose label is to be ignored are 0 in both features and count nowhere; rows without
            labels count in full.

    Raises:
        SegkdError: for a hyper-parameter out of range, or a tap that one of the networks lacks.
    """

    paper: ClassVar[str] = "Mansurian et al., Attention as Geometric Transformation, arXiv:2403.05451"
    status: ClassVar[str] = "verified against original values"
    summary: ClassVar[str] = "CBAM-refined features of three taps, each normalised as a whole"
    weights_by_dataset: ClassVar[dict[str, dict[str, float]]] = {"voc": {"loss_weight": 2.0}}

    def __init__(
        self,
        student: TapInfo,
        teacher: TapInfo,
        num_classes: int,
        *,
        loss_weight: float = 2.0,
        norm: str = "batch",
        teacher_cbam: str = "parameter_free",
        connector_iters: int | None = None,
        freeze_connectors: bool = True,
        connector_phase: str = "joint",
        learn_channel_gates: bool = True,
        mask_ignore: bool = False,
    ) -> None:
        super().__init__()
        for kind, value, known in (
            ("norm", norm, NORMS),
            ("teacher_cbam", teacher_cbam, TEACHER_CBAMS),
            ("connector_phase", connector_phase, CONNECTOR_PHASES),
        ):
            one_of(kind, value, known)

        self.loss_weight = at_least_zero("loss_weight", loss_weight)
        self.norm = norm
        self.teacher_cbam = teacher_cbam
        self.connector_iters = connector_iters
        if connector_iters is not None:
            whole_number("connector_iters", connector_iters)
        self.freeze_connectors = freeze_connectors
        self.only_connectors = connector_phase == "connectors_only"
        self.mask_ignore = mask_ignore
        self.needs = Needs.of_both(FEATURES)
        self.declares = Declares(zero_at_identity=False, masks_ignore=mask_ignore, batch_symmetric=True)

        widths = [self.needs.widths("attnfd", tap, student, teacher) for tap in FEATURES]
        self.student_cbams = nn.ModuleList(CBAM(narrow) for narrow, _ in widths)
        self.connectors = nn.ModuleList(Connector(narrow, wide) for narrow, wide in widths)
        wide_cbams = [] if teacher_cbam == "parameter_free" else [CBAM(wide) for _, wide in widths]
        self.teacher_cbams = nn.ModuleList(wide_cbams).requires_grad_(teacher_cbam == "learned")
        if not learn_channel_gates:
            for module in self.student_cbams:
                module.get_submodule("channel_gate").requires_grad_(False)
        self.connecting = True

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """One term per tap."""
        connecting = self._is_connecting(ctx)
        terms = {}
        for index, tap in enumerate(FEATURES):
            s = student.taps[tap]
            t = resize_to(teacher.taps[tap].detach(), s.shape[-2:])
            mask = self._mask(labels, ctx, s.shape[-2:])
            if connecting and self.only_connectors:
                s = s.detach()
            if mask is not None:
                inside = mask[:, None]
                s, t = s * inside, t * inside
            s = self.connectors[index](self.student_cbams[index](s))
            t = self.teacher_cbams[index](t) if len(self.teacher_cbams) else parameter_free_cbam(t)
            learned = self.teacher_cbam == "learned"
            loss = attention_feature(s, t, norm=self.norm, mask=mask, teacher_gradient=learned)
            terms[tap] = self.loss_weight * loss
        return terms

    def parameter_groups(self) -> list[Group]:
        """``connectors`` and a learned ``teacher_cbam`` for the phase, ``student_cbam`` always or from its end on."""
        groups = [
            Group("student_cbam", _trainable(self.student_cbams), active=self._refinement_learns),
            Group("connectors", _trainable(self.connectors), active=self._connectors_learn),
            Group("teacher_cbam", _trainable(self.teacher_cbams), active=self._phase_is_on),
        ]
        return [group for group in groups if group.params]

    def before_step(self, ctx: StepContext) -> None:
        """Note whether the connector phase is on: a step alone does not tell its epoch."""
        self.connecting = self._is_connecting(ctx)

    def _is_connecting(self, ctx: StepContext) -> bool:
        if self.connector_iters is not None:
            return ctx.step < self.connector_iters
        return ctx.epoch == 0 or ctx.step < min(SHORTEST_PHASE, ctx.total_steps // 3)

    def _phase_is_on(self, step: int) -> bool:
        return self.connecting if self.connector_iters is None else step < self.connector_iters

    def _connectors_learn(self, step: int) -> bool:
        return not self.freeze_connectors or self._phase_is_on(step)

    def _refinement_learns(self, step: int) -> bool:
        return not (self.only_connectors and self._phase_is_on(step))


def _trainable(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]
