"""What a backbone returns, and what is known of it without running it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from segkd_distill.models.layers import initialise_layers


class Features(NamedTuple):
    """The four stages of a backbone, each (N, C, h, w), fine to coarse.

    Attributes:
        c1: first stage, at 1/4 of the input.
        c2: second stage.
        c3: third stage; the auxiliary head reads it.
        c4: last stage.
        c4_pre: the last stage before its final ReLU; ``c4`` itself where the stage ends linear.
    """

    c1: Tensor
    c2: Tensor
    c3: Tensor
    c4: Tensor
    c4_pre: Tensor


class Backbone(nn.Module):
    """A feature extractor.

    Attributes:
        widths: channels of c1..c4.
        strides: input pixels per cell of c1..c4.
    """

    widths: tuple[int, int, int, int]
    strides: tuple[int, int, int, int]

    def forward(self, image: Tensor) -> Features:
        """Features of a normalised image (N, 3, H, W)."""
        raise NotImplementedError

    def init_weights(self) -> None:
        """Kaiming (normal, fan-out) for convolutions, 1 and 0 for normalisations."""
        initialise_layers(self)
