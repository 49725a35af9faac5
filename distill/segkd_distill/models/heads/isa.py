"""The head of ISANet: attention in two sparse steps instead of one dense one.

Huang et al., "Interlaced Sparse Self-Attention for Semantic Segmentation" (arXiv 1907.12273). Parameter names and
behaviour of mmsegmentation 0.26 (``ISAHead``, ``SelfAttentionBlock``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkd_distill.models.backbones.base import Backbone, Features
from segkd_distill.models.heads.base import DecodeHead, HeadOptions, HeadOutput
from segkd_distill.models.layers import ConvModule

if TYPE_CHECKING:
    from typing_extensions import Unpack


class SelfAttention(nn.Module):
    """Each position of a map becomes a mean of all of them, weighted by the softmax of query times key.

    Args:
        channels: channels of the input and of the output.
        key_channels: channels of keys and queries.
    """

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.key_project = nn.Sequential(ConvModule(channels, key_channels), ConvModule(key_channels, key_channels))
        self.query_project = nn.Sequential(ConvModule(channels, key_channels), ConvModule(key_channels, key_channels))
        self.value_project = nn.Conv2d(channels, channels, 1)
        self.output_project = ConvModule(channels, channels)
        self.scale = key_channels**-0.5

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        query = self.query_project(x).flatten(2).transpose(1, 2)
        key = self.key_project(x).flatten(2)
        value = self.value_project(x).flatten(2).transpose(1, 2)
        weights = (query @ key * self.scale).softmax(dim=-1)
        return self.output_project((weights @ value).transpose(1, 2).reshape(x.shape))


class ISAHead(DecodeHead):
    """3x3 convolution, interlaced self-attention, joined with its input, 1x1 convolution, classifier on c4's grid.

    The map is cut into windows of ``window`` x ``window`` cells, with zeros around it, split evenly, where it does not
    divide. Attention runs first among cells of the same place in all windows, then inside each window.
    ``context`` is the 1x1 convolution's output; ``decoder`` is the same after dropout.

    Args:
        backbone: gives the width and stride of c4.
        num_classes: classes.
        channels: width of the head.
        key_channels: channels of keys and queries.
        window: cells per side of a window.
        options: dropout and the way of resizing, see :class:`~segkd_distill.models.heads.base.DecodeHead`.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        channels: int = 512,
        key_channels: int = 256,
        window: int = 8,
        **options: Unpack[HeadOptions],
    ) -> None:
        super().__init__(num_classes, (channels, backbone.strides[3]), **options)
        self.window = window
        self.in_conv = ConvModule(backbone.widths[3], channels, 3)
        self.global_relation = SelfAttention(channels, key_channels)
        self.local_relation = SelfAttention(channels, key_channels)
        self.out_conv = ConvModule(2 * channels, channels)

    def forward(self, features: Features) -> HeadOutput:
        """Logits on c4's grid."""
        x = self.in_conv(features.c4)
        context = self.out_conv(torch.cat([self._attend(x), x], dim=1))
        decoder = self.dropout(context)
        return HeadOutput(self.conv_seg(decoder), context, decoder)

    def _attend(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        n, channels, height, width = x.shape
        side = self.window
        rows, columns = -(-height // side), -(-width // side)
        extra_rows, extra_columns = rows * side - height, columns * side - width
        top, left = extra_rows // 2, extra_columns // 2
        if extra_rows or extra_columns:
            x = F.pad(x, (left, extra_columns - left, top, extra_rows - top))
        # (image, channel, window row, row in it, window column, column in it) -> one map per place in the windows.
        x = x.reshape(n, channels, rows, side, columns, side).permute(0, 3, 5, 1, 2, 4)
        x = self.global_relation(x.reshape(-1, channels, rows, columns))
        # One map per window.
        x = x.reshape(n, side, side, channels, rows, columns).permute(0, 4, 5, 3, 1, 2)
        x = self.local_relation(x.reshape(-1, channels, side, side))
        x = x.reshape(n, rows, columns, channels, side, side).permute(0, 3, 1, 4, 2, 5)
        x = x.reshape(n, channels, rows * side, columns * side)
        return x[:, :, top : top + height, left : left + width]
