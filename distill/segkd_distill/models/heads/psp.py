"""The pyramid pooling head of PSPNet.

Zhao et al., "Pyramid Scene Parsing Network" (arXiv 1612.01105). Parameter names and, with the defaults, behaviour of
mmsegmentation 0.26 (``PSPHead``). With ``branch_channels`` a quarter of c4's it is the head of winycg/CIRKD and
OSVAI/Af-DCD f1e1a24 (pspnet.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from segkd_distill.models.backbones.base import Backbone, Features
from segkd_distill.models.heads.base import DecodeHead, HeadOptions, HeadOutput
from segkd_distill.models.layers import ConvModule, resize_like
from segkd_distill.models.pooling import AdaptiveAvgPool

if TYPE_CHECKING:
    from typing_extensions import Unpack


class PSPHead(DecodeHead):
    """Average pooling to several grids, concatenation with the input, 3x3 bottleneck, classifier on c4's grid.

    ``context`` is the bottleneck's output; ``decoder`` is the same after dropout.

    Args:
        backbone: gives the width and stride of c4.
        num_classes: classes.
        channels: width of the bottleneck.
        branch_channels: width of each pooled branch; None for that of the bottleneck.
        pool_sizes: cells per side of the pooled grids.
        options: dropout and the way of resizing, see :class:`~segkd_distill.models.heads.base.DecodeHead`.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        channels: int = 512,
        branch_channels: int | None = None,
        pool_sizes: Sequence[int] = (1, 2, 3, 6),
        **options: Unpack[HeadOptions],
    ) -> None:
        super().__init__(num_classes, (channels, backbone.strides[3]), **options)
        in_channels, branch = backbone.widths[3], branch_channels or channels
        self.psp_modules = nn.ModuleList(
            nn.Sequential(AdaptiveAvgPool(size), ConvModule(in_channels, branch)) for size in pool_sizes
        )
        self.bottleneck = ConvModule(in_channels + len(pool_sizes) * branch, channels, 3)

    def forward(self, features: Features) -> HeadOutput:
        """Logits on c4's grid."""
        x = features.c4
        pooled = [resize_like(branch(x), x, align_corners=self.align_corners) for branch in self.psp_modules]
        context = self.bottleneck(torch.cat([x, *pooled], dim=1))
        decoder = self.dropout(context)
        return HeadOutput(self.conv_seg(decoder), context, decoder)
