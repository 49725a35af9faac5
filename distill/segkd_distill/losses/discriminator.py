"""The holistic term of SKDS: a discriminator of score maps, and the losses of both sides."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses.checks import check_pair, upcast

SMALLEST_GRID = 64
"""Four halvings and a 4x4 score need so many positions."""


class SpectralConv2d(nn.Module):
    """A convolution with bias whose weight is divided by an estimate of its largest singular value.

    Every forward pass, while training or not, makes one power iteration from the stored ``u``; the gradient goes
    through the singular value u'Wv with u and v constant. ``torch.nn.utils.parametrizations.spectral_norm`` differs:
    it stores v too, iterates when made, and only while training.

    Args:
        channels: of the input.
        width: channels of the output.
        kernel: size of the kernel.
        stride: of the convolution.
        padding: of the convolution.
    """

    u: Tensor

    def __init__(self, channels: int, width: int, *, kernel: int = 4, stride: int = 2, padding: int = 1) -> None:
        super().__init__()
        made = nn.Conv2d(channels, width, kernel)  # for its initial values
        self.weight = nn.Parameter(made.weight.detach())
        self.bias = nn.Parameter(torch.zeros(width) if made.bias is None else made.bias.detach())
        self.stride, self.padding = stride, padding
        self.register_buffer("u", F.normalize(torch.randn(width), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, width, h', w')."""
        matrix = self.weight.flatten(1)
        with torch.no_grad():
            v = _unit(matrix.T @ self.u)
            u = _unit(matrix @ v)
            self.u.copy_(u)
        sigma = torch.dot(u, matrix @ v)
        return F.conv2d(x, self.weight / sigma, self.bias, self.stride, self.padding)


def _unit(vector: Tensor) -> Tensor:
    return vector / (torch.linalg.vector_norm(vector) + 1e-12)


class SelfAttention(nn.Module):
    """x + gamma * attention(x) over all positions, gamma learned from 0; keys and queries of an eighth of the width.

    Args:
        width: channels of the input.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, max(1, width // 8), 1)
        self.key = nn.Conv2d(width, max(1, width // 8), 1)
        self.value = nn.Conv2d(width, width, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) -> the same shape."""
        query, key, value = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        attention = (query.mT @ key).softmax(-1)
        return self.gamma * (value @ attention.mT).view_as(x) + x


class Discriminator(nn.Module):
    """Scores of logits: high for the teacher's, low for the student's.

    BatchNorm, four blocks of a spectrally normalised 4x4 convolution of stride 2 and LeakyReLU(0.1), self-attention
    after the third and the fourth, and a 4x4 convolution to one channel; 65x65 logits give one score.

    Source: SAGAN's, as in irfanICMLL/structure_knowledge_distillation ``networks/sagan_models.py`` and
    ``networks/spectral.py`` at ce208e1.

    Differs from the original:
        - Logits of less than 64 positions in height or width, which it cannot process, are first enlarged, bilinear.
        - It sees logits alone, as the original's code does (its paper also speaks of the image).

    Args:
        num_classes: channels of the logits.
        width: channels after the first block; the others have 2, 4 and 8 times as many.

    Raises:
        SegkdError: for a width that is no whole number above 0.
    """

    def __init__(self, num_classes: int, width: int = 64) -> None:
        super().__init__()
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise SegkdError(f"discriminator_width must be a whole number of at least 1, got {width!r}")
        widths = [num_classes, width, 2 * width, 4 * width, 8 * width]
        self.norm = nn.BatchNorm2d(num_classes)
        self.blocks = nn.ModuleList(SpectralConv2d(*pair) for pair in itertools.pairwise(widths))
        self.attentions = nn.ModuleList(SelfAttention(channels) for channels in widths[3:])
        self.score = nn.Conv2d(widths[-1], 1, 4)

    def forward(self, logits: Tensor) -> Tensor:
        """(N, num_classes, h, w) -> (N, 1, h', w') scores, in the dtype of the parameters."""
        with torch.autocast(logits.device.type, enabled=False):
            x = self.norm(_enlarged(upcast(logits)))
            for number, block in enumerate(self.blocks):
                x = F.leaky_relu(block(x), 0.1)
                if number >= 2:
                    x = self.attentions[number - 2](x)
            scores: Tensor = self.score(x)
        return scores


def _enlarged(logits: Tensor) -> Tensor:
    height, width = logits.shape[2:]
    factor = SMALLEST_GRID / min(height, width)
    if factor <= 1:
        return logits
    size = math.ceil(height * factor), math.ceil(width * factor)
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def generator_loss(fake: Tensor) -> Tensor:
    """-mean(D(student)), what the student is charged in both variants."""
    return -fake.mean()


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean(relu(1 - D(teacher))) + mean(relu(1 + D(student))), what the discriminator is charged.

    Source: winycg/CIRKD at dab64db.
    """
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def wasserstein_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean(D(student)) - mean(D(teacher)), to which ``gradient_penalty`` belongs.

    Source: irfanICMLL/structure_knowledge_distillation ``utils/criterion.py`` (CriterionAdv) at ce208e1.
    """
    return fake.mean() - real.mean()


def gradient_penalty(
    discriminator: nn.Module, real: Tensor, fake: Tensor, *, alpha: Sequence[float] | Tensor | None = None
) -> Tensor:
    """Mean over images of (||d sum D(x) / d x||_2 - 1)^2 at x = alpha * real + (1 - alpha) * fake.

    Source: irfanICMLL/structure_knowledge_distillation ``utils/criterion.py`` (CriterionAdditionalGP) at ce208e1, which
    multiplies it by 10.

    Args:
        discriminator: maps logits to scores.
        real: (N, C, h, w) teacher's logits.
        fake: (N, C, h, w) student's logits; neither gets a gradient.
        alpha: N numbers in 0..1; by default uniform from torch's generator.

    Raises:
        SegkdError: for shapes that differ, or another number of alphas.
    """
    check_pair(fake, real)
    fake = upcast(fake.detach())
    real = real.detach().to(fake.dtype)
    drawn = torch.rand(len(real), dtype=fake.dtype, device=fake.device) if alpha is None else torch.as_tensor(alpha)
    if drawn.numel() != len(real):
        raise SegkdError(f"one alpha per image expected, got {drawn.numel()} for {len(real)}")
    share = drawn.to(fake).view(-1, 1, 1, 1)
    x = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return (torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1).square().mean()
