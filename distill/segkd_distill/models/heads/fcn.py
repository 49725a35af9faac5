"""The auxiliary head: one convolution and a classifier on c3.

Long et al., "Fully Convolutional Networks for Semantic Segmentation" (arXiv 1411.4038). Parameter names of
mmsegmentation 0.26 (``FCNHead`` with one convolution and without concatenation).
"""

from __future__ import annotations

from torch import nn

from segkd_distill.models.backbones.base import Backbone, Features
from segkd_distill.models.heads.base import DecodeHead, HeadOutput
from segkd_distill.models.layers import ConvModule


class FCNHead(DecodeHead):
    """3x3 convolution and classifier on c3's grid.

    Args:
        backbone: tells the width and stride of c3.
        num_classes: classes.
        channels: width of the convolution.
        dropout: probability of a channel's dropout before the classifier.
    """

    def __init__(self, backbone: Backbone, num_classes: int, *, channels: int = 256, dropout: float = 0.1) -> None:
        tap = (channels, backbone.strides[2])
        super().__init__(num_classes=num_classes, context=tap, decoder=tap, dropout=dropout, align_corners=False)
        self.convs = nn.Sequential(ConvModule(backbone.widths[2], channels, 3))

    def forward(self, features: Features) -> HeadOutput:
        """Logits on c3's grid."""
        context = self.convs(features.c3)
        decoder = self.dropout(context)
        return HeadOutput(self.conv_seg(decoder), context, decoder)
