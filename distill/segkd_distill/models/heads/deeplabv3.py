"""The head of DeepLabV3: dense ASPP and a bottleneck.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation" (arXiv 1706.05587). Parameter names and,
with the defaults, behaviour of mmsegmentation 0.26 (``ASPPHead``). The options give the head of winycg/CIRKD and
OSVAI/Af-DCD f1e1a24 (deeplabv3.py) exactly: ``bottleneck_kernel=1`` (their ``project``), ``context_dropout=0.5``,
``pool_last`` and one further 3x3 convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from segkd_distill.models.backbones.base import Backbone, Features
from segkd_distill.models.heads.aspp import aspp_modules, image_pool, run_aspp
from segkd_distill.models.heads.base import DecodeHead, HeadOptions, HeadOutput
from segkd_distill.models.layers import ConvModule

if TYPE_CHECKING:
    from typing_extensions import Unpack


class DeepLabV3Head(DecodeHead):
    """ASPP, bottleneck, classifier on c4's grid.

    ``context`` is the bottleneck's output before dropout; ``decoder`` is what the classifier reads, after dropout.

    Args:
        backbone: gives the width and stride of c4.
        num_classes: classes.
        channels: width of each ASPP branch, of the bottleneck and of the convolutions behind it.
        dilations: dilations of the ASPP branches; 1 is a 1x1 convolution.
        pool_last: join the image's average behind the dilated branches, not before them.
        bottleneck_kernel: side of the bottleneck's kernel.
        context_dropout: probability of dropout between the bottleneck and ``decoder_convs``.
        decoder_convs: number of 3x3 convolutions between bottleneck and classifier.
        options: dropout and the way of resizing, see :class:`~segkd_distill.models.heads.base.DecodeHead`.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        channels: int = 512,
        dilations: Sequence[int] = (1, 12, 24, 36),
        pool_last: bool = False,
        bottleneck_kernel: int = 3,
        context_dropout: float = 0.0,
        decoder_convs: int = 0,
        **options: Unpack[HeadOptions],
    ) -> None:
        super().__init__(num_classes, (channels, backbone.strides[3]), **options)
        in_channels = backbone.widths[3]
        self.pool_last = pool_last
        self.image_pool = image_pool(in_channels, channels)
        self.aspp_modules = aspp_modules(in_channels, channels, dilations, separable=False)
        self.bottleneck = ConvModule((1 + len(dilations)) * channels, channels, bottleneck_kernel)
        self.context_dropout = self.dropout_layer(context_dropout)
        self.convs = nn.Sequential(*(ConvModule(channels, channels, 3) for _ in range(decoder_convs)))

    def forward(self, features: Features) -> HeadOutput:
        """Logits on c4's grid."""
        branches = run_aspp(
            features.c4,
            self.image_pool,
            self.aspp_modules,
            align_corners=self.align_corners,
            pool_last=self.pool_last,
        )
        context = self.bottleneck(branches)
        decoder = self.dropout(self.convs(self.context_dropout(context)))
        return HeadOutput(self.conv_seg(decoder), context, decoder)
