"""What benchmarks/losses.py times: each loss on the inputs of its published measurement, ours and written plainly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import losses_plain as plain
import torch
from measure import Job
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shapes:
    """Sizes of the inputs; the defaults are those of the published measurements.

    Attributes:
        images: batch.
        classes: of logits and labels.
        height: of the grid.
        width: of the grid.
        channels: of a feature.
        stride: pixels of the labels per position of the grid.
        pixel_slots: of a class in CIRKD's pixel bank.
        region_slots: of a class in its region bank.
    """

    images: int = 2
    classes: int = 19
    height: int = 64
    width: int = 128
    channels: int = 512
    stride: int = 8
    pixel_slots: int = 20000
    region_slots: int = 2000


@dataclass
class Inputs:
    """Random tensors, normally distributed.

    Attributes:
        shapes: their sizes.
        ignored: share of the labels that is 255.
    """

    shapes: Shapes = field(default_factory=Shapes)
    ignored: float = 0.05

    def pair(self, student: int, teacher: int) -> tuple[Tensor, Tensor]:
        """A student's tensor that requires a gradient, and the teacher's, with so many channels."""
        rng = torch.Generator().manual_seed(1)
        grid = (self.shapes.height, self.shapes.width)
        s = torch.randn(self.shapes.images, student, *grid, generator=rng)
        return s.requires_grad_(), torch.randn(self.shapes.images, teacher, *grid, generator=rng)

    def logits(self) -> tuple[Tensor, Tensor]:
        """Student's and teacher's."""
        return self.pair(self.shapes.classes, self.shapes.classes)

    def features(self, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """Student's, of ``share`` of the channels, and teacher's."""
        return self.pair(int(share * self.shapes.channels), self.shapes.channels)

    def labels(self) -> Tensor:
        """Blocks of one grid position."""
        rng = torch.Generator().manual_seed(2)
        size = (self.shapes.images, self.shapes.height, self.shapes.width)
        blocks = torch.randint(0, self.shapes.classes, size, generator=rng)
        blocks[torch.rand(size, generator=rng) < self.ignored] = 255
        return blocks.repeat_interleave(self.shapes.stride, 1).repeat_interleave(self.shapes.stride, 2)


class Sides(NamedTuple):
    """One loss on given inputs.

    Attributes:
        ours: segkd's.
        plain: the formula in plain torch on the same tensors, None where there is none.
        leaves: what the backward pass fills.
    """

    ours: Callable[[], Tensor]
    plain: Callable[[], Tensor] | None
    leaves: list[Tensor]

    def job(self, side: str) -> Job:
        """The job of ``ours`` or ``plain``."""
        loss = self.ours if side == "ours" else self.plain
        if loss is None:
            raise ValueError("this row has no plain formula")
        return Job(loss, self.leaves)


def kd(x: Inputs) -> Sides:
    from segkd_distill.losses import logit_kd

    s, t = x.logits()
    return Sides(lambda: logit_kd(s, t), lambda: plain.logit_kd(s, t), [s])


def kd_ifvd(x: Inputs) -> Sides:
    from segkd_distill.losses import logit_kd

    s, t = x.logits()
    return Sides(lambda: logit_kd(s, t, reduction="ifvd"), lambda: plain.logit_kd_ifvd(s, t), [s])


def skds_pixel(x: Inputs) -> Sides:
    from segkd_distill.losses import pixel_cross_entropy

    s, t = x.logits()
    return Sides(lambda: pixel_cross_entropy(s, t, reduction="skds"), lambda: plain.pixel_cross_entropy(s, t), [s])


def skds_pair_scale(x: Inputs) -> Sides:
    from segkd_distill.losses import pairwise_affinity

    s, t = x.features()
    return Sides(lambda: pairwise_affinity(s, t, scale=0.5), lambda: plain.pairwise_of_a_share(s, t), [s])


def skds_pair_window(x: Inputs) -> Sides:
    from segkd_distill.losses import pairwise_affinity

    s, t = x.features()
    return Sides(lambda: pairwise_affinity(s, t, window=2), lambda: plain.pairwise_of_windows(s, t), [s])


def skds_generator(x: Inputs) -> Sides:
    from segkd_distill.losses.discriminator import Discriminator, generator_loss

    s, _ = x.logits()
    torch.manual_seed(0)
    discriminator = Discriminator(x.shapes.classes)
    return Sides(lambda: generator_loss(discriminator(s)), None, [s, *discriminator.parameters()])


def skds_discriminator(x: Inputs) -> Sides:
    from segkd_distill.losses.discriminator import Discriminator, gradient_penalty, wasserstein_loss

    s, t = x.logits()
    fake = s.detach()
    torch.manual_seed(0)
    discriminator = Discriminator(x.shapes.classes)

    def loss() -> Tensor:
        penalty = gradient_penalty(discriminator, t, fake)
        return wasserstein_loss(discriminator(t), discriminator(fake)) + 10 * penalty

    return Sides(loss, None, list(discriminator.parameters()))


def ifvd(x: Inputs) -> Sides:
    from segkd_distill.losses import intra_class_variation

    s, t = x.features()
    labels, classes = x.labels(), x.shapes.classes
    return Sides(
        lambda: intra_class_variation(s, t, labels, num_classes=classes),
        lambda: plain.intra_class_variation(s, t, labels, classes),
        [s],
    )


def cwd_logits(temperature: float) -> Callable[[Inputs], Sides]:
    def build(x: Inputs) -> Sides:
        from segkd_distill.losses import channel_wise

        s, t = x.logits()
        return Sides(
            lambda: channel_wise(s, t, temperature=temperature), lambda: plain.channel_wise(s, t, temperature), [s]
        )

    return build


def cwd_features(x: Inputs) -> Sides:
    from segkd_distill.losses import channel_wise

    s, t = x.features()
    return Sides(lambda: channel_wise(s, t), lambda: plain.channel_wise(s, t, 4.0), [s])


def cwd_adapted(x: Inputs) -> Sides:
    from segkd_distill.losses import channel_wise

    s, t = x.features(1 / 4)
    torch.manual_seed(0)
    conv = nn.Conv2d(s.shape[1], t.shape[1], 1, bias=False)
    leaves = [s, conv.weight]
    return Sides(lambda: channel_wise(conv(s), t), lambda: plain.channel_wise(conv(s), t, 4.0), leaves)


def cirkd_mini_batch(x: Inputs) -> Sides:
    from segkd_distill.losses import cross_image_relation

    s, t = x.features()
    return Sides(lambda: cross_image_relation(s, t), lambda: plain.cross_image_relation(s, t), [s])


def cirkd_memory(x: Inputs) -> Sides:
    """The whole of it: enqueue, projection head and both terms."""
    from segkd_distill.methods import build_method
    from segkd_distill.methods.base import StepContext
    from segkd_distill.models.output import SegOutput, TapInfo

    s, t = x.features()
    logits, teacher_logits = x.logits()
    labels = x.labels()
    info = TapInfo({"decoder": x.shapes.channels}, {"decoder": x.shapes.stride}, x.shapes.classes)
    torch.manual_seed(0)
    method = build_method(
        "cirkd",
        student=info,
        teacher=info,
        num_classes=x.shapes.classes,
        kd_weight=0.0,
        mini_batch_weight=0.0,
        pixel_memory_size=x.shapes.pixel_slots,
        region_memory_size=x.shapes.region_slots,
    )
    student = SegOutput(logits.detach(), None, {"decoder": s})
    teacher = SegOutput(teacher_logits, None, {"decoder": t})
    labelled = torch.ones(x.shapes.images, dtype=torch.bool)
    step = iter(range(1_000_000))

    def loss() -> Tensor:
        ctx = StepContext(next(step), 1_000_000, 0, 255, labelled)
        method.before_step(ctx)
        return torch.stack(list(method(student, teacher, labels, ctx).values())).sum()

    return Sides(loss, None, [s, *method.parameters()])


def attnfd(x: Inputs) -> Sides:
    """One tap with learned CBAMs on both sides, gradients into both, as the original has it."""
    from segkd_distill.losses.attention_feature import attention_feature
    from segkd_distill.losses.cbam import CBAM
    from segkd_distill.losses.connector import Connector

    s, t = x.features()
    torch.manual_seed(0)
    of_student, of_teacher = CBAM(s.shape[1]), CBAM(t.shape[1])
    connector = Connector(s.shape[1], t.shape[1])
    leaves = [s, *of_student.parameters(), *of_teacher.parameters(), *connector.parameters()]
    return Sides(
        lambda: attention_feature(connector(of_student(s)), of_teacher(t), teacher_gradient=True),
        lambda: plain.attention_feature(connector(of_student(s)), of_teacher(t)),
        leaves,
    )


def afdcd_full(x: Inputs) -> Sides:
    from segkd_distill.losses import omni_contrast
    from segkd_distill.losses.masked_generator import MaskedGenerator, masked_reconstruction, random_keep

    s, t = x.features(1 / 2)
    torch.manual_seed(0)
    module = MaskedGenerator(s.shape[1], t.shape[1])
    keep = random_keep(torch.rand(len(s), 1, *s.shape[2:], generator=torch.Generator().manual_seed(3)), 0.75)
    layers: list[nn.Module] = [module.first, module.second]

    def loss() -> Tensor:
        generated = module(s, keep)
        return 2e-6 * masked_reconstruction(generated, t) + 5e-3 * omni_contrast(generated, t)

    return Sides(loss, lambda: plain.masked_generator(module.align, layers, s, t, keep), [s, *module.parameters()])


def afdcd_contrast(factor: int) -> Callable[[Inputs], Sides]:
    def build(x: Inputs) -> Sides:
        from segkd_distill.losses import omni_contrast

        s, t = x.pair(factor * x.shapes.channels, factor * x.shapes.channels)
        return Sides(lambda: omni_contrast(s, t), lambda: plain.omni_contrast(s, t), [s])

    return build


def bpkd(x: Inputs) -> Sides:
    from segkd_distill.losses import body_kd, class_edges, edge_kd

    s, t = x.logits()
    labels, classes = x.labels(), x.shapes.classes
    size = (x.shapes.height, x.shapes.width)

    def loss() -> Tensor:
        mask = class_edges(labels, classes, kernel_px=7, size=size)
        return 50 * edge_kd(s, t, mask) + 20 * body_kd(s, t, mask)

    return Sides(loss, lambda: plain.boundary_privileged(s, t, labels), [s])


def task_ce(x: Inputs) -> Sides:
    from segkd_distill.task_loss import labelled_cross_entropy

    s, _ = x.logits()
    labels = x.labels()

    def loss() -> Tensor:
        upsampled = F.interpolate(s, size=labels.shape[1:], mode="bilinear", align_corners=True)
        return labelled_cross_entropy(upsampled, labels)

    return Sides(loss, lambda: plain.task_cross_entropy(s, labels), [s])


ROWS: dict[str, Callable[[Inputs], Sides]] = {
    "kd_cirkd_T1": kd,
    "kd_ifvd_repo": kd_ifvd,
    "skds_pixel": skds_pixel,
    "skds_pair_scale0.5": skds_pair_scale,
    "skds_pair_cirkd_2x2": skds_pair_window,
    "skds_holistic_G": skds_generator,
    "skds_holistic_D_wgan_gp": skds_discriminator,
    "ifvd_official": ifvd,
    "cwd_torchdistiller_logits_T4": cwd_logits(4.0),
    "cwd_mmrazor_logits": cwd_logits(1.0),
    "cwd_cirkd_feat512_noconv": cwd_features,
    "cwd_cirkd_feat128to512_conv": cwd_adapted,
    "cirkd_minibatch_512": cirkd_mini_batch,
    "cirkd_memory_512": cirkd_memory,
    "attnfd_1level_512": attnfd,
    "afdcd_full_256to512": afdcd_full,
    "afdcd_contrast_core_512": afdcd_contrast(1),
    "afdcd_real_512to2048_contrast_core": afdcd_contrast(4),
    "bpkd_thirdparty": bpkd,
    "task_ce": task_ce,
}
