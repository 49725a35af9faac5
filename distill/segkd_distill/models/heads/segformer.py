"""SegFormer's all-MLP head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from segkd_distill.models.backbones.base import Backbone, Features
from segkd_distill.models.backbones.mit import to_map, to_tokens
from segkd_distill.models.heads.base import DecodeHead, HeadOptions, HeadOutput
from segkd_distill.models.layers import resize_like

if TYPE_CHECKING:
    from typing_extensions import Unpack


class SegformerHead(DecodeHead):
    """All four stages projected to one width, resized to c1's grid, concatenated coarse to fine, fused by a 1x1.

    Source: Xie et al., SegFormer, NeurIPS 2021; as NVlabs/SegFormer and transformers have it. open-mmlab's head
    differs (convolutions with normalisation and ReLU, fine to coarse): its weights do not fit here.

    The taps ``context`` and ``decoder`` are the fused map before and after dropout.

    Args:
        backbone: gives the widths and strides.
        num_classes: classes.
        channels: width of the projections and of the fused map.
        options: dropout and the way of resizing, see :class:`~segkd_distill.models.heads.base.DecodeHead`.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        channels: int = 256,
        **options: Unpack[HeadOptions],
    ) -> None:
        super().__init__(num_classes, (channels, backbone.strides[0]), **options)
        self.linear_projections = nn.ModuleList(Projection(width, channels) for width in backbone.widths)
        self.linear_fuse = nn.Conv2d(4 * channels, channels, 1, bias=False)
        self.batch_norm = nn.BatchNorm2d(channels)

    def forward(self, features: Features) -> HeadOutput:
        """Logits on c1's grid."""
        maps = [
            resize_like(project(x), features.c1, align_corners=self.align_corners)
            for project, x in zip(self.linear_projections, features[:4], strict=True)
        ]
        context = self.batch_norm(self.linear_fuse(torch.cat(maps[::-1], 1))).relu()
        decoder = self.dropout(context)
        return HeadOutput(self.conv_seg(decoder), context, decoder)


class Projection(nn.Module):
    """A linear layer over the channels of a map."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, channels, h, w)."""
        return to_map(self.proj(to_tokens(x)), (x.shape[2], x.shape[3]))
