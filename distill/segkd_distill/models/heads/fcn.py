"""The plain convolutional head: the auxiliary head of most networks, and the head of HRNet.

Long et al., "Fully Convolutional Networks for Semantic Segmentation" (arXiv 1411.4038); Sun et al., "High-Resolution
Representations for Labeling Pixels and Regions" (arXiv 1904.04514). Parameter names and behaviour of mmsegmentation
0.26 (``FCNHead`` with one convolution, without concatenation of the input).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from segkd.errors import unknown_name
from segkd_distill.models.backbones.base import Backbone, Features
from segkd_distill.models.heads.base import DecodeHead, HeadOptions, HeadOutput
from segkd_distill.models.layers import ConvModule, resize_like

if TYPE_CHECKING:
    from typing_extensions import Unpack

STAGES = ("c1", "c2", "c3", "c4")


class FCNHead(DecodeHead):
    """One convolution and a classifier on the grid of the first input; further inputs are resized to it and joined.

    ``context`` is the convolution's output; ``decoder`` is the same after dropout.

    Args:
        backbone: gives the widths and strides of the inputs.
        num_classes: classes.
        inputs: the stages that the head reads, ``c1`` to ``c4``; HRNet's head reads all four.
        channels: width of the convolution; None for as many as the inputs have.
        kernel_size: side of the convolution's kernel.
        options: dropout and the way of resizing, see :class:`~segkd_distill.models.heads.base.DecodeHead`.

    Raises:
        SegkdError: for an input that is no stage.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        inputs: Sequence[str] = ("c3",),
        channels: int | None = None,
        kernel_size: int = 3,
        **options: Unpack[HeadOptions],
    ) -> None:
        for name in inputs:
            if name not in STAGES:
                raise unknown_name("stage", name, STAGES)
        indices = [STAGES.index(name) for name in inputs]
        in_channels = sum(backbone.widths[index] for index in indices)
        super().__init__(num_classes, (channels or in_channels, backbone.strides[indices[0]]), **options)
        self.indices = tuple(indices)
        self.convs = nn.Sequential(ConvModule(in_channels, self.tap_channels["context"], kernel_size))

    def forward(self, features: Features) -> HeadOutput:
        """Logits on the first input's grid."""
        inputs = [features[index] for index in self.indices]
        joined = [resize_like(x, inputs[0], align_corners=self.align_corners) for x in inputs]
        context = self.convs(joined[0] if len(joined) == 1 else torch.cat(joined, dim=1))
        decoder = self.dropout(context)
        return HeadOutput(self.conv_seg(decoder), context, decoder)
