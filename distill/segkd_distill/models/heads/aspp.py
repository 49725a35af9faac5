"""Atrous spatial pyramid pooling, the context module of the DeepLab heads.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation" (arXiv 1706.05587). Parameter names and,
with the defaults, order of concatenation of mmsegmentation 0.26 (``ASPPHead``, ``DepthwiseSeparableASPPHead``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkd_distill.models.layers import ConvModule, DepthwiseSeparableConv, resize_like
from segkd_distill.models.pooling import AdaptiveAvgPool


def image_pool(in_channels: int, channels: int) -> nn.Sequential:
    """The branch that sees the whole image: global average and 1x1 convolution."""
    return nn.Sequential(AdaptiveAvgPool(1), ConvModule(in_channels, channels))


def aspp_modules(in_channels: int, channels: int, dilations: Sequence[int], *, separable: bool) -> nn.ModuleList:
    """One branch per dilation: 1x1 for dilation 1, else a dilated 3x3, depthwise-separable if asked."""
    branches: list[nn.Module] = []
    for dilation in dilations:
        if dilation == 1:
            branches.append(ConvModule(in_channels, channels))
        elif separable:
            branches.append(DepthwiseSeparableConv(in_channels, channels, dilation=dilation))
        else:
            branches.append(ConvModule(in_channels, channels, 3, dilation=dilation))
    return nn.ModuleList(branches)


def run_aspp(
    x: Tensor, pool: nn.Module | None, branches: nn.ModuleList, *, align_corners: bool, pool_last: bool = False
) -> Tensor:
    """(N, in, h, w) -> (N, all branches' channels, h, w).

    The pooled branch, if there is one, comes before the dilated ones, or after them where ``pool_last``.
    """
    outputs = [branch(x) for branch in branches]
    if pool is not None:
        pooled = resize_like(pool(x), x, align_corners=align_corners)
        outputs = [*outputs, pooled] if pool_last else [pooled, *outputs]
    return torch.cat(outputs, dim=1)
