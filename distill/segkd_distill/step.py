"""The forward pass of one training step: student, frozen teacher, and every term of the loss."""

from __future__ import annotations

from dataclasses import replace

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
        pseudo_labels: probability above which a pixel of a row without labels gets the teacher's label, for methods
            that need labels; None for none.
        self_training: whether these labels also enter the task loss.

    Attributes:
        pseudo_share: share of the pixels of rows without labels that got one in the last forward pass; None if none
            were asked for.
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
        pseudo_labels: float | None = None,
        self_training: bool = False,
    ) -> None:
        super().__init__()
        self.student = student
        self.method = method
        self.mixed = mixed
        self.task_loss = task_loss or TaskLoss()
        self.pseudo_labels = pseudo_labels if method is not None and (method.needs.labels or self_training) else None
        self.self_training = self_training
        self.logits: tuple[Tensor, Tensor] | None = None
        self.pseudo_share: Tensor | None = None
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
        teacher = self._teach(images)
        if teacher is not None and self.pseudo_labels is not None:
            pseudo = self._pseudo_label(teacher.logits, labels, ctx, self.pseudo_labels)
            ctx = replace(ctx, pseudo_labels=pseudo)

        # The task: on rows with labels, and on the teacher's where that is asked for.
        rows = ctx.labelled.to(labels.device) if self.mixed else None
        task_labels = labels
        if self.self_training and ctx.pseudo_labels is not None:
            rows, task_labels = None, ctx.pseudo_labels
        terms = {f"task/{self.task_loss.name}": self._task(student.logits, task_labels, rows, ctx)}
        if student.aux_logits is not None:
            terms["task/aux"] = AUX_WEIGHT * self._task(student.aux_logits, task_labels, rows, ctx, auxiliary=True)

        # The lesson.
        if self.method is not None and teacher is not None:
            terms.update(self.method(student, teacher, labels, ctx))
            self.logits = student.logits.detach(), teacher.logits
        return terms

    @torch.no_grad()
    def _teach(self, images: Tensor) -> SegOutput | None:
        if self.method is None or self.teacher is None:
            return None
        output: SegOutput = self.teacher(images, self.method.needs.teacher_taps)
        return output

    @torch.no_grad()
    def _pseudo_label(self, logits: Tensor, labels: Tensor, ctx: StepContext, threshold: float) -> Tensor:
        """The labels, those of rows without any replaced by the teacher's where it is sure enough.

        Args:
            logits: of the teacher, (N, K, h, w).
            labels: (N, H, W) int64.
            ctx: tells which rows have labels.
            threshold: probability above which the teacher is sure.

        Returns:
            (N, H, W) int64; ``ctx.ignore_index`` where the teacher is not sure.
        """
        without = ~ctx.labelled.to(labels.device)
        if self.teacher is None or not bool(without.any()):
            return labels

        # Only the rows without labels: (M, K, H, W), then (M, H, W).
        upsampled = self.teacher.upsample(logits[without].float(), labels.shape[-2:])
        probability, winner = upsampled.softmax(1).max(1)
        sure = probability > threshold
        self.pseudo_share = sure.float().mean()

        merged = labels.clone()
        merged[without] = torch.where(sure, winner, torch.full_like(winner, ctx.ignore_index))
        return merged

    def _task(
        self, logits: Tensor, labels: Tensor, rows: Tensor | None, ctx: StepContext, *, auxiliary: bool = False
    ) -> Tensor:
        if rows is not None:
            logits, labels = logits[rows], labels[rows]
        upsampled = self.student.upsample(logits, labels.shape[-2:])
        return self.task_loss(upsampled, labels, ignore_index=ctx.ignore_index, auxiliary=auxiliary)
