"""HRNetV2: branches of four resolutions side by side, which exchange features again and again.

Sun et al., "High-Resolution Representations for Labeling Pixels and Regions" (arXiv 1904.04514). Parameter names and
behaviour of mmsegmentation 0.26 (``HRNet``). "W18-small" is the layout that timm calls ``hrnet_w18_small_v2``.

Differs from the original: a resize to the size that a map already has is left out; the values are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.models.backbones.base import Backbone, Features
from segkd_distill.models.backbones.resnet import BasicBlock, Bottleneck
from segkd_distill.models.layers import resize_like


class HRModule(nn.Module):
    """Basic blocks on every branch, then every branch becomes the sum of all, brought to its width and size.

    Args:
        widths: channels of the branches, from fine to coarse; each has half the size of the one before.
        blocks: basic blocks per branch.
    """

    def __init__(self, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(w, w) for _ in range(blocks))) for w in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_exchange(widths, source, target) for source in range(len(widths)))
            for target in range(len(widths))
        )

    def before_relu(self, inputs: Sequence[Tensor], target: int) -> Tensor:
        """What one branch becomes, given the outputs of all branches' blocks."""
        total = None
        for source, layer in enumerate(cast(nn.ModuleList, self.fuse_layers[target])):
            x = layer(inputs[source])
            if source > target:
                # The exact factor first, then the crop of an odd size, as the original does.
                x = F.interpolate(x, scale_factor=2 ** (source - target), mode="bilinear", align_corners=False)
                x = resize_like(x, inputs[target], align_corners=False)
            total = x if total is None else total + x
        return cast(Tensor, total)

    def run_branches(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The blocks of every branch."""
        return [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        """A list of maps, one per branch -> maps of the same shapes."""
        outputs = self.run_branches(inputs)
        return [F.relu(self.before_relu(outputs, target)) for target in range(len(outputs))]


class HRNet(Backbone):
    """HRNetV2; its four branches are c1, c2, c3 and c4.

    Args:
        width: channels of the finest branch; the others have 2, 4 and 8 times as many.
        stem: channels of the two 3x3 convolutions with stride 2.
        stage1_width: width of the first stage's bottlenecks, before their expansion.
        stage1_blocks: number of the first stage's bottlenecks.
        modules: exchanges in the stages of 2, 3 and 4 branches.
        blocks: basic blocks per branch between exchanges.
    """

    def __init__(
        self,
        width: int = 18,
        *,
        stem: int = 64,
        stage1_width: int = 64,
        stage1_blocks: int = 4,
        modules: Sequence[int] = (1, 4, 3),
        blocks: int = 4,
    ) -> None:
        super().__init__()
        if len(modules) != 3:
            raise SegkdError(f"an HRNet has 3 stages of modules, modules gives {len(modules)} values")
        self.conv1 = nn.Conv2d(3, stem, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.conv2 = nn.Conv2d(stem, stem, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(stem)

        wide = stage1_width * Bottleneck.expansion
        self.layer1 = nn.Sequential(
            *(Bottleneck(stem if index == 0 else wide, stage1_width) for index in range(stage1_blocks))
        )

        widths = tuple(width * factor for factor in (1, 2, 4, 8))
        self.transition1 = _transition([wide], widths[:2])
        self.stage2 = nn.Sequential(*(HRModule(widths[:2], blocks) for _ in range(modules[0])))
        self.transition2 = _transition(widths[:2], widths[:3])
        self.stage3 = nn.Sequential(*(HRModule(widths[:3], blocks) for _ in range(modules[1])))
        self.transition3 = _transition(widths[:3], widths)
        self.stage4 = nn.Sequential(*(HRModule(widths, blocks) for _ in range(modules[2])))

        self.widths = widths  # type: ignore[assignment]
        self.strides = (4, 8, 16, 32)

    def forward(self, image: Tensor) -> Features:
        """Features of a normalised image (N, 3, H, W)."""
        x = F.relu(self.bn1(self.conv1(image)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        maps = self.stage2(_enter(self.transition1, [self.layer1(x)]))
        maps = self.stage3(_enter(self.transition2, maps))
        maps = _enter(self.transition3, maps)
        *modules, last = cast("list[HRModule]", list(self.stage4))
        for module in modules:
            maps = module(maps)
        maps = last.run_branches(maps)
        fused = [last.before_relu(maps, target) for target in range(4)]
        c1, c2, c3, c4 = (F.relu(x) for x in fused)
        return Features(c1, c2, c3, c4, fused[3])


def _exchange(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """What brings a branch to another's width, and a finer one to its size: 3x3 convolutions with stride 2."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(nn.Conv2d(widths[source], widths[target], 1, bias=False), nn.BatchNorm2d(widths[target]))
    steps = target - source
    return nn.Sequential(
        *(
            _halving(widths[source], widths[target if step == steps - 1 else source], relu=step < steps - 1)
            for step in range(steps)
        )
    )


def _halving(in_channels: int, out_channels: int, *, relu: bool = True) -> nn.Sequential:
    """3x3 convolution with stride 2, normalisation, and ReLU if asked."""
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """What makes the branches of a stage from those of the stage before; one branch more, from the coarsest."""
    layers: list[nn.Module] = []
    for index, width in enumerate(after):
        if index >= len(before):
            layers.append(nn.Sequential(_halving(before[-1], width)))
        elif before[index] != width:
            layers.append(
                nn.Sequential(
                    nn.Conv2d(before[index], width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                )
            )
        else:
            layers.append(nn.Identity())
    return nn.ModuleList(layers)


def _enter(transition: nn.ModuleList, maps: Sequence[Tensor]) -> list[Tensor]:
    """The inputs of a stage's branches; a new branch reads the coarsest map."""
    return [layer(maps[min(index, len(maps) - 1)]) for index, layer in enumerate(transition)]
