"""The head of DeepLabV3+: depthwise-separable ASPP and a decoder that adds fine features.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution" (arXiv 1802.02611). Parameter names and, with the
defaults, behaviour of mmsegmentation 0.26 (``DepthwiseSeparableASPPHead``). The options give the head of
AmirMansurian/AttnFD b9ee23c (aspp.py, decoder.py) exactly: ``separable=False``, ``bottleneck_kernel=1``, ``pool_last``
and dropout of 0.5 behind the bottleneck and between the decoder's convolutions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from segkd_distill.models.backbones.base import Backbone, Features
from segkd_distill.models.heads.aspp import aspp_modules, image_pool, run_aspp
from segkd_distill.models.heads.base import DecodeHead, HeadOptions, HeadOutput
from segkd_distill.models.layers import ConvModule, DepthwiseSeparableConv, resize_like

if TYPE_CHECKING:
    from typing_extensions import Unpack


class DeepLabV3PlusHead(DecodeHead):
    """ASPP on c4, upsampled to c1's grid, joined with c1, two 3x3 convolutions, classifier.

    ``context`` is the ASPP bottleneck's output on c4's grid; ``decoder`` is what the classifier reads on c1's grid,
    after dropout.

    Args:
        backbone: gives the widths and strides of c1 and c4.
        num_classes: classes.
        channels: width of each ASPP branch, of the bottleneck and of the decoder.
        c1_channels: width to which c1 is reduced.
        dilations: dilations of the ASPP branches; 1 is a 1x1 convolution.
        pool: whether ASPP has the branch that averages the whole image.
        pool_last: join that branch behind the dilated ones, not before them.
        bottleneck_kernel: side of the bottleneck's kernel; 1 for small networks, where 3 would be most of the cost.
        separable: depthwise-separable 3x3 convolutions in ASPP and decoder; dense ones suit very small networks, which
            learn more from them in the same time on a CPU.
        decoder_convs: number of 3x3 convolutions in the decoder.
        context_dropout: probability of dropout behind the bottleneck.
        decoder_dropout: probability of dropout behind each of the decoder's convolutions but the last.
        options: dropout and the way of resizing, see :class:`~segkd_distill.models.heads.base.DecodeHead`.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        channels: int = 512,
        c1_channels: int = 48,
        dilations: Sequence[int] = (1, 12, 24, 36),
        pool: bool = True,
        pool_last: bool = False,
        bottleneck_kernel: int = 3,
        separable: bool = True,
        decoder_convs: int = 2,
        context_dropout: float = 0.0,
        decoder_dropout: float = 0.0,
        **options: Unpack[HeadOptions],
    ) -> None:
        super().__init__(num_classes, (channels, backbone.strides[3]), (channels, backbone.strides[0]), **options)
        in_channels = backbone.widths[3]
        self.pool_last = pool_last
        self.image_pool = image_pool(in_channels, channels) if pool else None
        self.aspp_modules = aspp_modules(in_channels, channels, dilations, separable=separable)
        self.bottleneck = ConvModule((pool + len(dilations)) * channels, channels, bottleneck_kernel)
        self.context_dropout = self.dropout_layer(context_dropout)
        self.c1_bottleneck = ConvModule(backbone.widths[0], c1_channels)
        convolution: Callable[[int, int], nn.Module] = (
            DepthwiseSeparableConv if separable else partial(ConvModule, kernel_size=3)
        )
        layers = OrderedDict[str, nn.Module]()
        for index in range(decoder_convs):
            if index > 0 and decoder_dropout > 0:
                # Named, so that the convolutions keep the numbers that checkpoints have.
                layers[f"dropout{index}"] = self.dropout_layer(decoder_dropout)
            layers[str(index)] = convolution(channels + (c1_channels if index == 0 else 0), channels)
        self.sep_bottleneck = nn.Sequential(layers)

    def forward(self, features: Features) -> HeadOutput:
        """Logits on c1's grid."""
        branches = run_aspp(
            features.c4,
            self.image_pool,
            self.aspp_modules,
            align_corners=self.align_corners,
            pool_last=self.pool_last,
        )
        context = self.bottleneck(branches)
        fine = self.c1_bottleneck(features.c1)
        coarse = resize_like(self.context_dropout(context), fine, align_corners=self.align_corners)
        decoder = self.dropout(self.sep_bottleneck(torch.cat([coarse, fine], dim=1)))
        return HeadOutput(self.conv_seg(decoder), context, decoder)
