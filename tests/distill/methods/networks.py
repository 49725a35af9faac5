"""Outputs of networks that do not exist, for tests of methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from segkd_distill.methods.base import Method, StepContext
from segkd_distill.models.output import SegOutput, TapInfo

IGNORE = 255
STRIDES = {"c1": 4, "c2": 8, "c3": 8, "c4": 8, "c4_pre": 8, "context": 8, "decoder": 8, "logits": 8}
STUDENT_WIDTHS = {"c1": 8, "c2": 8, "c3": 12, "c4": 16, "c4_pre": 16, "context": 16, "decoder": 16}
TEACHER_WIDTHS = {"c1": 16, "c2": 16, "c3": 24, "c4": 32, "c4_pre": 32, "context": 32, "decoder": 32}


@dataclass(frozen=True)
class FakeNetwork:
    """Random taps and logits with given widths and strides."""

    widths: dict[str, int] = field(default_factory=lambda: dict(STUDENT_WIDTHS))
    strides: dict[str, int] = field(default_factory=lambda: dict(STRIDES))
    num_classes: int = 5
    image: tuple[int, int] = (64, 96)

    @property
    def info(self) -> TapInfo:
        return TapInfo(dict(self.widths), dict(self.strides), self.num_classes)

    def output(
        self, seed: int, images: int, taps: Iterable[str], *, dtype: torch.dtype = torch.float64, grad: bool = False
    ) -> SegOutput:
        rng = torch.Generator().manual_seed(seed)

        def made(name: str, channels: int) -> Tensor:
            height, width = (-(-pixels // self.strides[name]) for pixels in self.image)
            values = torch.randn(images, channels, height, width, generator=rng, dtype=torch.float64) * 2
            return values.to(dtype).requires_grad_(grad)

        logits = made("logits", self.num_classes)
        return SegOutput(logits, None, {tap: made(tap, self.widths[tap]) for tap in sorted(taps)})

    def labels(self, seed: int, images: int) -> Tensor:
        """int64 (images, height, width): blocks of 16 px, about a fifth of them ignored."""
        rng = torch.Generator().manual_seed(seed)
        height, width = self.image
        blocks = torch.randint(0, self.num_classes, (images, -(-height // 16), -(-width // 16)), generator=rng)
        blocks[torch.rand(blocks.shape, generator=rng) < 0.2] = IGNORE
        blocks[:, 0, 0], blocks[:, 0, 1] = IGNORE, 0
        return blocks.repeat_interleave(16, 1).repeat_interleave(16, 2)[:, :height, :width].contiguous()


def tensors(output: SegOutput) -> dict[str, Tensor]:
    """Logits and taps by name."""
    return {"logits": output.logits, **output.taps}


def rebuilt(output: SegOutput, change: Callable[[str, Tensor], Tensor]) -> SegOutput:
    """The output with ``change(name, tensor)`` applied to the detached tensors; requires a gradient if it did."""
    made = {}
    for name, tensor in tensors(output).items():
        made[name] = change(name, tensor.detach()).contiguous().requires_grad_(tensor.requires_grad)
    return SegOutput(made.pop("logits"), None, made)


def context(labelled: Tensor, step: int = 0) -> StepContext:
    return StepContext(step=step, total_steps=100, epoch=0, ignore_index=IGNORE, labelled=labelled)


def forward(
    method: Method,
    student: SegOutput,
    teacher: SegOutput,
    labels: Tensor,
    labelled: Tensor | None = None,
    step: int = 0,
) -> dict[str, Tensor]:
    """The method's terms in a step whose randomness depends on the step alone."""
    ctx = context(torch.ones(len(labels), dtype=torch.bool) if labelled is None else labelled, step)
    torch.manual_seed(step)
    method.before_step(ctx)
    return method(student, teacher, labels, ctx)


def backward(terms: dict[str, Tensor]) -> None:
    sum(terms.values(), torch.zeros(())).backward()


def all_close(actual: dict[str, Tensor], expected: dict[str, Tensor], rtol: float = 1e-9) -> None:
    assert list(actual) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=rtol, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")
