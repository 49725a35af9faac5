"""ResNet with dilated last stages: open-mmlab's V1c with its deep stem, and what other repositories use.

He et al., "Deep Residual Learning for Image Recognition" (arXiv 1512.03385); deep stem from He et al., "Bag of
Tricks" (arXiv 1812.01187). Parameter names of mmsegmentation 0.26 (``ResNetV1c``, and ``ResNet`` for the 7x7 stem) and,
with the defaults, its behaviour. The options give the networks of two other repositories exactly:

    winycg/CIRKD 351400e, resnetv1b.py ("v1s")    stem (64, 64, 128), dilate_both
    AmirMansurian/AttnFD b9ee23c, resnet.py       7x7 stem, no contraction, dilate_both, multi_grid for bottlenecks
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.models.backbones.base import Backbone, Features
from segkd_distill.models.layers import StridedConv1x1


class Block(nn.Module):
    """A residual block whose output is also available before its ReLU."""

    expansion: int
    downsample: nn.Sequential | None

    def branch(self, x: Tensor) -> Tensor:
        """The residual branch, ending with a normalisation."""
        raise NotImplementedError

    def last_norm(self) -> nn.BatchNorm2d:
        """The normalisation that ends the residual branch."""
        raise NotImplementedError

    def before_relu(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, width * expansion, h', w'): branch plus shortcut."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.branch(x) + shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, width * expansion, h', w')."""
        return F.relu(self.before_relu(x), inplace=True)


def _downsample(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """The shortcut: strided 1x1 convolution and normalisation where shapes change, else None (identity)."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(StridedConv1x1(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))


class BasicBlock(Block):
    """Two 3x3 convolutions (ResNet-18, -34).

    Args:
        in_channels: channels of the input.
        width: channels of the output.
        stride: stride of the first convolution.
        dilation: dilation of the first convolution.
        second: dilation of the second convolution; open-mmlab's block never dilates it.
    """

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1, dilation: int = 1, second: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=second, dilation=second, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _downsample(in_channels, width, stride)

    def branch(self, x: Tensor) -> Tensor:
        """The residual branch."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.bn2(self.conv2(x))

    def last_norm(self) -> nn.BatchNorm2d:
        """The normalisation that ends the residual branch."""
        return self.bn2


class Bottleneck(Block):
    """1x1, 3x3, 1x1 convolutions with the stride on the 3x3 (ResNet-50, -101, -152).

    Args:
        in_channels: channels of the input.
        width: channels of the 3x3 convolution; the output has four times as many.
        stride: stride of the 3x3 convolution.
        dilation: dilation of the 3x3 convolution.
        second: without effect, there is one 3x3 convolution.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, dilation: int = 1, second: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample = _downsample(in_channels, width * self.expansion, stride)

    def branch(self, x: Tensor) -> Tensor:
        """The residual branch."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return self.bn3(self.conv3(x))

    def last_norm(self) -> nn.BatchNorm2d:
        """The normalisation that ends the residual branch."""
        return self.bn3


DEPTHS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class ResNetV1c(Backbone):
    """ResNet with a deep or a 7x7 stem and dilated last stages.

    Args:
        depth: a key of ``DEPTHS``: chooses the block and the number of blocks.
        base_width: scales the whole network: the stem is (base/2, base/2, base) wide, stages base * (1, 2, 4, 8).
        blocks: blocks per stage instead of those of ``depth``.
        widths: block widths per stage (before a bottleneck's expansion) instead of those of ``base_width``.
        deep_stem: 3x3 convolutions; otherwise one 7x7 convolution, ``conv1`` and ``bn1``, of the last of the stem's
            widths.
        stem: widths of the stem's convolutions, the first of them with stride 2, instead of those of ``base_width``.
        stem_pool: 3x3 max-pooling with stride 2 after the stem.
        strides: stride of each stage; (1, 2, 1, 1) for output stride 8, (1, 2, 2, 1) for 16.
        dilations: dilation of each stage.
        contract_dilation: the first convolution of a dilated stage uses half its dilation.
        dilate_both: dilate the second convolution of basic blocks as well, always by the stage's whole dilation.
        multi_grid: factors on the last stage's dilation, one per block; None for (1, 1, ...).
        zero_init_residual: start the last normalisation of every residual branch at 0.
    """

    def __init__(
        self,
        depth: int = 50,
        *,
        base_width: int = 64,
        blocks: Sequence[int] | None = None,
        widths: Sequence[int] | None = None,
        deep_stem: bool = True,
        stem: Sequence[int] | None = None,
        stem_pool: bool = True,
        strides: Sequence[int] = (1, 2, 1, 1),
        dilations: Sequence[int] = (1, 1, 2, 4),
        contract_dilation: bool = True,
        dilate_both: bool = False,
        multi_grid: Sequence[int] | None = None,
        zero_init_residual: bool = True,
    ) -> None:
        super().__init__()
        if depth not in DEPTHS:
            raise SegkdError(f"ResNet depth {depth} is not known; choose one of {', '.join(map(str, DEPTHS))}")
        block, default_blocks = DEPTHS[depth]
        blocks = tuple(blocks or default_blocks)
        widths = tuple(widths or [base_width * factor for factor in (1, 2, 4, 8)])
        for option, values in (("blocks", blocks), ("widths", widths), ("strides", strides), ("dilations", dilations)):
            if len(values) != 4:
                raise SegkdError(f"a ResNet has 4 stages, {option} gives {len(values)} values")

        # One factor on the dilation per block; only the last stage has others than 1.
        grids = [[1] * count for count in blocks[:3]] + [list(multi_grid or [1] * blocks[3])]
        if len(grids[3]) != blocks[3]:
            raise SegkdError(f"multi_grid gives {len(grids[3])} factors, the last stage has {blocks[3]} blocks")
        stem = tuple(stem or (base_width // 2, base_width // 2, base_width))

        self.zero_init_residual = zero_init_residual
        self.deep_stem = deep_stem
        if deep_stem:
            self.stem = _stem(stem)
        else:
            self.conv1 = nn.Conv2d(3, stem[-1], 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(stem[-1])
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if stem_pool else nn.Identity()

        in_channels, stages = stem[-1], []
        for width, stride, dilation, grid in zip(widths, strides, dilations, grids, strict=True):
            steps = _steps(stride, dilation, grid, contract=contract_dilation, dilate_both=dilate_both)
            stages.append(_stage(block, in_channels, width, steps))
            in_channels = width * block.expansion
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

        stem_stride = 4 if stem_pool else 2
        self.widths = tuple(width * block.expansion for width in widths)  # type: ignore[assignment]
        self.strides = tuple(stem_stride * prod(strides[: stage + 1]) for stage in range(4))  # type: ignore[assignment]
        self._zero_residuals()

    def forward(self, image: Tensor) -> Features:
        """Features of a normalised image (N, 3, H, W)."""
        x = self.stem(image) if self.deep_stem else F.relu(self.bn1(self.conv1(image)), inplace=True)
        c1 = self.layer1(self.pool(x))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        c4 = c3
        for block in self.layer4:
            c4_pre = cast(Block, block).before_relu(c4)
            # Not in place: c4_pre is an output of its own.
            c4 = F.relu(c4_pre)
        return Features(c1, c2, c3, c4, c4_pre)

    def init_weights(self) -> None:
        """Kaiming for convolutions, 1 and 0 for normalisations, 0 for those that end a residual branch."""
        super().init_weights()
        self._zero_residuals()

    def _zero_residuals(self) -> None:
        if self.zero_init_residual:
            for module in self.modules():
                if isinstance(module, Block):
                    nn.init.zeros_(module.last_norm().weight)


def _steps(
    stride: int, dilation: int, grid: Sequence[int], *, contract: bool, dilate_both: bool
) -> list[tuple[int, int, int]]:
    """(stride, dilation, dilation of the second convolution) of each block of a stage."""
    first = dilation // 2 if contract and dilation > 1 else dilation
    return [
        (
            stride if index == 0 else 1,
            factor * (first if index == 0 else dilation),
            factor * dilation if dilate_both else 1,
        )
        for index, factor in enumerate(grid)
    ]


def _stage(
    block: type[BasicBlock] | type[Bottleneck], in_channels: int, width: int, steps: Sequence[tuple[int, int, int]]
) -> nn.Sequential:
    """One block for each of ``steps``."""
    layers: list[nn.Module] = []
    for step in steps:
        layers.append(block(in_channels, width, *step))
        in_channels = width * block.expansion
    return nn.Sequential(*layers)


def _stem(widths: Sequence[int]) -> nn.Sequential:
    """3x3 convolutions with normalisation and ReLU; the first halves the size."""
    layers: list[nn.Module] = []
    in_channels = 3
    for index, width in enumerate(widths):
        layers += [
            nn.Conv2d(in_channels, width, 3, stride=2 if index == 0 else 1, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        in_channels = width
    return nn.Sequential(*layers)
