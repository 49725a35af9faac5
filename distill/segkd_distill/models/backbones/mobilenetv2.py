"""MobileNetV2 with dilated last stages.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (arXiv 1801.04381). Parameter names of
mmsegmentation 0.26 (``MobileNetV2``) and, with the defaults, its behaviour, without the final 1280-channel convolution.
Of ``mobilenetv2_stages``, ``CIRKD_STAGES`` gives winycg/CIRKD's network (351400e, mobilenetv2.py); ``ATTNFD_STAGES``
with ``pad_block_input`` AmirMansurian/AttnFD's (b9ee23c, mobilenet.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.models.backbones.base import Backbone, Features
from segkd_distill.models.backbones.mobilenetv2_stages import STAGES, Stage
from segkd_distill.models.layers import ConvModule


def scaled(channels: int, width: float, divisor: int) -> int:
    """Channels times width, rounded to a multiple of ``divisor``, never more than 10 % below the product."""
    target = channels * width
    rounded = max(divisor, int(target + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * target else rounded


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise 3x3, linear 1x1 projection; a shortcut where the shapes agree.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        expand: factor of the expansion; 1 leaves the expansion out.
        stride: stride of the depthwise convolution.
        dilation: dilation of the depthwise convolution.
        pad_input: put the zeros of the padding around the block's input, not the depthwise convolution's: around that
            one they become what normalisation and activation make of 0.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, expand: int, stride: int, dilation: int, pad_input: bool = False
    ) -> None:
        super().__init__()
        hidden = in_channels * expand
        self.shortcut = stride == 1 and in_channels == out_channels
        self.margin_px = dilation if pad_input else 0
        self.conv = nn.Sequential(
            *([ConvModule(in_channels, hidden, activation="relu6")] if expand != 1 else []),
            ConvModule(
                hidden,
                hidden,
                3,
                stride=stride,
                padding=0 if pad_input else None,
                dilation=dilation,
                groups=hidden,
                activation="relu6",
            ),
            ConvModule(hidden, out_channels, activation="linear"),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, out, h', w')."""
        branch = self.conv(F.pad(x, [self.margin_px] * 4) if self.margin_px else x)
        return x + branch if self.shortcut else branch


class MobileNetV2(Backbone):
    """MobileNetV2; stages end linear, so ``c4_pre`` is ``c4``.

    Args:
        width: multiplier of all channels.
        divisor: channels are rounded to multiples of it.
        stem: channels of the first convolution (3x3, stride 2) at width 1.
        stages: (expand, channels, blocks, stride, dilation of the first block, of the others) of each stage; the last
            may be left out and is 1 then.
        out_stages: indices of the stages that are c1, c2, c3 and c4.
        pad_block_input: put the zeros of the padding around each block's input.
    """

    def __init__(
        self,
        *,
        width: float = 1.0,
        divisor: int = 8,
        stem: int = 32,
        stages: Sequence[Sequence[int]] = STAGES,
        out_stages: Sequence[int] = (1, 2, 4, 6),
        pad_block_input: bool = False,
    ) -> None:
        super().__init__()
        if len(out_stages) != 4 or list(out_stages) != sorted(set(out_stages)) or out_stages[-1] != len(stages) - 1:
            raise SegkdError(
                f"out_stages {list(out_stages)}: expected 4 rising indices that end with {len(stages) - 1}"
            )

        self.out_stages = tuple(out_stages)
        in_channels, out_stride = scaled(stem, width, divisor), 2
        self.conv1 = ConvModule(3, in_channels, 3, stride=2, activation="relu6")

        widths, strides = [], []
        for index, stage in enumerate(Stage(*values) for values in stages):
            channels = scaled(stage.channels, width, divisor)
            self.add_module(f"layer{index + 1}", _layer(in_channels, channels, stage, pad_block_input))
            in_channels = channels
            out_stride *= stage.stride
            if index in self.out_stages:
                widths.append(channels)
                strides.append(out_stride)
        self.stage_count = len(stages)
        self.widths = tuple(widths)  # type: ignore[assignment]
        self.strides = tuple(strides)  # type: ignore[assignment]

    def forward(self, image: Tensor) -> Features:
        """Features of a normalised image (N, 3, H, W)."""
        x = self.conv1(image)
        outputs = []
        for index in range(self.stage_count):
            x = getattr(self, f"layer{index + 1}")(x)
            if index in self.out_stages:
                outputs.append(x)
        c1, c2, c3, c4 = outputs
        return Features(c1, c2, c3, c4, c4)


def _layer(in_channels: int, channels: int, stage: Stage, pad_input: bool) -> nn.Sequential:
    """The blocks of a stage; ``channels`` are those of its output."""
    blocks = []
    for block in range(stage.blocks):
        stride, dilation = (stage.stride, stage.dilation) if block == 0 else (1, stage.rest)
        blocks.append(
            InvertedResidual(
                in_channels, channels, expand=stage.expand, stride=stride, dilation=dilation, pad_input=pad_input
            )
        )
        in_channels = channels
    return nn.Sequential(*blocks)
