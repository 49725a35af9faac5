"""What a decode head returns, and what is known of it without running it."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

from torch import Tensor, nn

from segkd_distill.models.backbones.base import Features
from segkd_distill.models.layers import initialise_layers


class HeadOutput(NamedTuple):
    """The output of a decode head.

    Attributes:
        logits: (N, K, h, w) at the head's own resolution.
        context: (N, C, h', w') output of the context module, before dropout.
        decoder: (N, C', h, w) what the classifier reads, after dropout.
    """

    logits: Tensor
    context: Tensor
    decoder: Tensor


class HeadOptions(TypedDict, total=False):
    """What every head takes and :class:`DecodeHead` explains."""

    dropout: float
    align_corners: bool
    channel_dropout: bool


class DecodeHead(nn.Module):
    """Dropout and a 1x1 classifier behind a context module.

    Args:
        num_classes: classes.
        context: channels and stride of the tap ``context``.
        decoder: channels and stride of the tap ``decoder``, by default those of ``context``; the logits share its
            stride.
        dropout: probability of dropout before the classifier.
        align_corners: how maps are resized inside the head.
        channel_dropout: drop whole channels, as mmsegmentation does; otherwise single values.

    Attributes:
        tap_channels: channels of ``context`` and ``decoder``.
        tap_strides: strides of ``context``, ``decoder`` and ``logits``.
    """

    def __init__(
        self,
        num_classes: int,
        context: tuple[int, int],
        decoder: tuple[int, int] | None = None,
        *,
        dropout: float = 0.1,
        align_corners: bool = False,
        channel_dropout: bool = True,
    ) -> None:
        super().__init__()
        decoder = decoder or context
        self.align_corners, self.channel_dropout = align_corners, channel_dropout
        self.tap_channels = {"context": context[0], "decoder": decoder[0]}
        self.tap_strides = {"context": context[1], "decoder": decoder[1], "logits": decoder[1]}
        self.dropout = self.dropout_layer(dropout)
        self.conv_seg = nn.Conv2d(decoder[0], num_classes, 1)

    def dropout_layer(self, probability: float) -> nn.Module:
        """Dropout of whole channels, or of single values."""
        return nn.Dropout2d(probability) if self.channel_dropout else nn.Dropout(probability)

    def forward(self, features: Features) -> HeadOutput:
        """Logits and taps from a backbone's features."""
        raise NotImplementedError

    def init_weights(self) -> None:
        """Kaiming for convolutions, 1 and 0 for normalisations, normal with deviation 0.01 for the classifier."""
        initialise_layers(self)
        nn.init.normal_(self.conv_seg.weight, std=0.01)
