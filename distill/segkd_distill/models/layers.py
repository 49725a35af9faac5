"""Layers that backbones and heads share, under open-mmlab's parameter names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvModule(nn.Module):
    """Convolution without bias, batch normalisation, activation.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the kernel.
        stride: stride.
        padding: zeros on each side; None for as many as keep the size at stride 1.
        dilation: dilation.
        groups: groups of the convolution.
        activation: ``relu``, ``relu6`` or ``linear`` (none).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        *,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if padding is None:
            padding = dilation * (kernel_size // 2)
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, dilation=dilation, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.activate: nn.Module = {
            "relu": nn.ReLU(inplace=True),
            "relu6": nn.ReLU6(inplace=True),
            "linear": nn.Identity(),
        }[activation]

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, out, h', w')."""
        return self.activate(self.bn(self.conv(x)))


class StridedConv1x1(nn.Conv2d):
    """A 1x1 convolution without bias that skips pixels.

    With fewer than 16 input channels it trains on the pixels picked beforehand, which is the same: the backward pass
    that oneDNN 3.12 (torch 2.13, CPUs with AVX-512, channels_last) runs otherwise writes past its buffer.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: stride.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, out, ceil(h / stride), ceil(w / stride))."""
        if self.in_channels < 16 and torch.is_grad_enabled():
            rows, columns = self.stride
            return F.conv2d(x[:, :, ::rows, ::columns], self.weight)
        return super().forward(x)


class DepthwiseSeparableConv(nn.Module):
    """Depthwise 3x3, then pointwise 1x1, each with batch normalisation and ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        dilation: dilation of the depthwise convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, *, dilation: int = 1) -> None:
        super().__init__()
        self.depthwise_conv = ConvModule(in_channels, in_channels, 3, dilation=dilation, groups=in_channels)
        self.pointwise_conv = ConvModule(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, out, h, w)."""
        return self.pointwise_conv(self.depthwise_conv(x))


def resize_like(x: Tensor, reference: Tensor, *, align_corners: bool) -> Tensor:
    """Bilinear resize of (N, C, h, w) to the height and width of ``reference``; ``x`` itself where they agree."""
    if x.shape[-2:] == reference.shape[-2:]:
        return x
    return F.interpolate(x, size=reference.shape[-2:], mode="bilinear", align_corners=align_corners)


def initialise_layers(module: nn.Module) -> None:
    """Kaiming (normal, fan-out, ReLU) for every convolution, weight 1 and bias 0 for every normalisation."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
