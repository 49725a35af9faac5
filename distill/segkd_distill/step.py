"""The forward pass of one training step: student, frozen teacher, and every term of the loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segkd_distill.methods.base import Method, StepContext
from segkd_distill.models.network import Network
from segkd_distill.models.output import SegOutput
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.task_loss import TaskLoss

AUX_WEIGHT = 0.4
"""Weight of the auxiliary head's cross-entropy, as in mmsegmentation."""


class DistillStep(nn.Module):
    """Everything that a gradient flows through, in one module, so that one wrapper serves them all.

    The teacher is not a submodule: it is in no state dict, among no parameters, and ``train()`` does not reach it. It
    gets no gradient. It must be on the student's device.

    Args:
        student: the network to train.
        teacher: the network to learn from, or None.
        method: the terms that compare the two, or None.
        mixed: whether batches have rows without labels; these are then left out of the cross-entropy's computation.
        task_loss: the loss against the labels; plain cross-entropy by default.

    Attributes:
        logits: student's and teacher's logits of the last forward pass, detached; None before.
    """

    def __init__(
        self,
        student: Segmenter,
        teacher: Network | None = None,
        method: Method | None = None,
        *,
        mixed: bool = False,
        task_loss: TaskLoss | None = None,
    ) -> None:
        super().__init__()
        self.student = student
        self.method = method
        self.mixed = mixed
        self.task_loss = task_loss or TaskLoss()
        self.logits: tuple[Tensor, Tensor] | None = None
        self._teacher = () if teacher is None else (teacher.eval().requires_grad_(False),)  # a tuple hides it

    @property
    def teacher(self) -> Network | None:
        """The network to learn from."""
        return self._teacher[0] if self._teacher else None

    def forward(self, images: Tensor, masks: Tensor, ctx: StepContext) -> dict[str, Tensor]:
        """All terms of the loss, weighted; their sum is what is minimised.

        Args:
            images: RGB 0..255, (N, 3, H, W), uint8 or float.
            masks: uint8 class indices, (N, H, W); ``ctx.ignore_index`` = no class.
            ctx: the step.

        Returns:
            ``task/ce`` or ``task/ohem``, ``task/aux`` if the student has an auxiliary head, and the method's terms;
            scalars, at least float32.
        """
        labels = masks.long()
        taps = self.method.needs.student_taps if self.method is not None else frozenset[str]()
        student: SegOutput = self.student(images, taps)
        rows = ctx.labelled.to(labels.device) if self.mixed else None
        terms = {f"task/{self.task_loss.name}": self._task(student.logits, labels, rows, ctx)}
        if student.aux_logits is not None:
            terms["task/aux"] = AUX_WEIGHT * self._task(student.aux_logits, labels, rows, ctx, auxiliary=True)
        if self.method is not None and self.teacher is not None:
            with torch.no_grad():
                teacher: SegOutput = self.teacher(images, self.method.needs.teacher_taps)
            terms.update(self.method(student, teacher, labels, ctx))
            self.logits = student.logits.detach(), teacher.logits
        return terms

    def _task(
        self, logits: Tensor, labels: Tensor, rows: Tensor | None, ctx: StepContext, *, auxiliary: bool = False
    ) -> Tensor:
        if rows is not None:
            logits, labels = logits[rows], labels[rows]
        upsampled = self.student.upsample(logits, labels.shape[-2:])
        return self.task_loss(upsampled, labels, ignore_index=ctx.ignore_index, auxiliary=auxiliary)
