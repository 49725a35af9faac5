"""The contract between a distillation method and the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses.logit_kd import logit_kd
from segkd_distill.models.output import SegOutput, TapInfo


@dataclass(frozen=True)
class StepContext:
    """What a method may know about the step it is in.

    Attributes:
        step: 0-based optimiser step.
        total_steps: how many steps the run has.
        epoch: 0-based pass over the labelled data.
        ignore_index: the label of pixels without a class.
        labelled: (N,) bool, False for rows without labels (their labels are all ``ignore_index``).
        pseudo_labels: (N, H, W) int64 labels of all rows, those of rows without labels made by the teacher; None where
            the teacher makes none.
        rank: this process among ``world_size``.
        world_size: how many processes train together.
    """

    step: int
    total_steps: int
    epoch: int
    ignore_index: int
    labelled: Tensor
    pseudo_labels: Tensor | None = None
    rank: int = 0
    world_size: int = 1


@dataclass(frozen=True)
class Needs:
    """What a method reads.

    Attributes:
        student_taps: taps of the student.
        teacher_taps: taps of the teacher.
        labels: whether it reads labels (rows without labels get the teacher's, or are skipped).
    """

    student_taps: frozenset[str] = frozenset()
    teacher_taps: frozenset[str] = frozenset()
    labels: bool = False

    @classmethod
    def of_both(cls, taps: Iterable[str], *, labels: bool = False) -> Needs:
        """A method that reads some taps of both networks."""
        return cls(frozenset(taps), frozenset(taps), labels)

    def widths(self, method: str, tap: str, student: TapInfo, teacher: TapInfo) -> tuple[int, int]:
        """Channels of a tap, of student and teacher, for adapters.

        Raises:
            SegkdError: as :meth:`require`.
        """
        self.require(method, student, teacher)
        return student.channels[tap], teacher.channels[tap]

    def require(self, method: str, student: TapInfo, teacher: TapInfo) -> None:
        """Stop if a network lacks a tap.

        Raises:
            SegkdError: names the taps that are missing.
        """
        for side, info, taps in (("student", student, self.student_taps), ("teacher", teacher, self.teacher_taps)):
            missing = sorted(taps - set(info.channels))
            if missing:
                raise SegkdError(
                    f"method {method} needs the taps {', '.join(missing)}, which this {side} does not have"
                )


@dataclass(frozen=True)
class Declares:
    """Properties that the base tester checks.

    Attributes:
        zero_at_identity: all terms are 0 when student and teacher give the same tensors.
        masks_ignore: ignored pixels change neither value nor gradient.
        batch_symmetric: the order of the images in the batch does not matter.
    """

    zero_at_identity: bool = True
    masks_ignore: bool = False
    batch_symmetric: bool = True


def _always(step: int) -> bool:
    return True


@dataclass(frozen=True)
class Group:
    """Parameters of a method that train beside the student.

    Attributes:
        name: unique within the method, for logs.
        params: the parameters.
        lr_mult: factor on the student's learning rate.
        max_norm: clip the group's gradient norm to this, None for no clipping.
        active: step -> whether the group is updated in this step.
    """

    name: str
    params: list[nn.Parameter]
    lr_mult: float = 1.0
    max_norm: float | None = None
    active: Callable[[int], bool] = field(default=_always)


class Method(nn.Module):
    """A distillation method: terms that are added to the task loss.

    A subclass takes keyword arguments ``student: TapInfo, teacher: TapInfo, num_classes: int`` and its own
    hyper-parameters, and sets ``needs`` and ``declares``. Adapters, discriminators and memory banks are its
    modules and buffers: saved for resume, never part of the student's file.

    Attributes:
        paper: authors, title and place, for ``segkd list methods``.
        status: ``verified against original values`` or ``reconstructed``.
        summary: the idea in one line.
        default_balance: share of the gradient of its terms against the task's that ``segkd distill`` gives it where
            neither a weight nor a share is said; docs/results.md says on what it was chosen.
        weights_by_dataset: data set -> hyper-parameter -> published weight; the data sets whose weights are known.
        needs: what it reads.
        declares: properties that its tests check.
        mask_ignore: whether terms leave out pixels whose label is to be ignored.
    """

    paper: ClassVar[str] = ""
    status: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    default_balance: ClassVar[float] = 1.0
    weights_by_dataset: ClassVar[dict[str, dict[str, float]]] = {}
    needs: Needs = Needs()
    declares: Declares = Declares()
    mask_ignore: bool = False

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """Weighted terms of the loss.

        Args:
            student: output of the student, with the taps that ``needs`` names.
            teacher: output of the teacher, detached.
            labels: (N, H, W) int64 at image size, or None.
            ctx: the step.

        Returns:
            name -> scalar, at least float32, finite for any finite input.
        """
        raise NotImplementedError

    def parameter_groups(self) -> list[Group]:
        """The method's own parameters; by default one group of all that the student's optimiser trains."""
        params = [p for p in self.parameters() if p.requires_grad]
        return [Group("adapters", params)] if params else []

    def adversary(self, student_logits: Tensor, teacher_logits: Tensor) -> dict[str, Tensor] | None:
        """Terms of an adversary that trains with its own optimiser after the student's step, or None.

        Args:
            student_logits: (N, K, h, w), detached.
            teacher_logits: (N, K, h, w), detached.
        """
        return None

    def adversary_optimizer(self) -> torch.optim.Optimizer | None:
        """The optimiser of the adversary's parameters, made once per run, or None."""
        return None

    def _mask(self, labels: Tensor | None, ctx: StepContext, size: Iterable[int]) -> Tensor | None:
        """The pixels of a grid that count, see :func:`valid_pixels`; None, for all, where ``mask_ignore`` is off."""
        return valid_pixels(labels, ctx, size) if self.mask_ignore else None

    def _logit_kd(
        self,
        outputs: tuple[SegOutput, SegOutput],
        labels: Tensor | None,
        ctx: StepContext,
        *,
        temperature: float,
        reduction: str = "mean",
    ) -> Tensor:
        """Plain KD of the logits of student and teacher, which several methods add to their own terms."""
        s, t = (output.logits for output in outputs)
        size = s.shape[-2:]
        mask = self._mask(labels, ctx, size)
        return logit_kd(s, resize_to(t, size), temperature=temperature, mask=mask, reduction=reduction)

    def before_step(self, ctx: StepContext) -> None:
        """Called before the forward pass of a step."""

    def after_step(self, ctx: StepContext) -> None:
        """Called after the optimiser's step."""


def resize_to(tensor: Tensor, size: Iterable[int]) -> Tensor:
    """Bring a teacher's tensor to the student's grid, bilinear; the one place where grids are matched."""
    height, width = size
    if tensor.shape[-2:] == (height, width):
        return tensor
    return F.interpolate(tensor, size=(height, width), mode="bilinear", align_corners=False)


def valid_pixels(labels: Tensor | None, ctx: StepContext, size: Iterable[int]) -> Tensor:
    """Pixels on which a label-free term may act when ``mask_ignore`` is on.

    Args:
        labels: (N, H, W) int.
        ctx: with the ignore index and which rows have labels; rows without are valid everywhere.
        size: the grid (height, width) of the result.

    Returns:
        (N, height, width) bool: nearest-neighbour samples of "the label is not ignored".

    Raises:
        SegkdError: if there are no labels.
    """
    if labels is None:
        raise SegkdError("mask_ignore needs the labels of the batch; turn it off where there are none")
    height, width = size
    valid = (labels != ctx.ignore_index) | ~ctx.labelled.view(-1, 1, 1)
    return F.interpolate(valid[:, None].float(), size=(height, width), mode="nearest")[:, 0] > 0.5
