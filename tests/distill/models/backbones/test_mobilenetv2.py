from __future__ import annotations

import pytest
import torch
from torch import nn

from segkd.errors import SegkdError
from segkd_distill.models.backbones.mobilenetv2 import STAGES, InvertedResidual, MobileNetV2, scaled
from segkd_distill.models.zoo import ModelConfig
from tests.distill.models.base import BaseModelTester


class TestNarrow(BaseModelTester):
    """The published stages with one block each."""

    config = ModelConfig(
        "small",
        "mobilenetv2",
        "psp",
        {"width": 0.1, "stages": tuple(stage._replace(blocks=1) for stage in STAGES)},
        {"channels": 8},
        auxiliary_channels=8,
    )


class TestOwnStages(BaseModelTester):
    config = ModelConfig(
        "small",
        "mobilenetv2",
        "deeplabv3plus",
        {
            "divisor": 4,
            "stem": 8,
            "stages": ((2, 12, 1, 2, 1), (3, 16, 2, 2, 1), (3, 16, 1, 1, 2), (3, 20, 1, 1, 2)),
            "out_stages": (0, 1, 2, 3),
        },
        {"channels": 8, "c1_channels": 4, "dilations": (1, 2), "bottleneck_kernel": 1},
    )


def test_outputs_of_the_published_network() -> None:
    with torch.device("meta"):
        network = MobileNetV2()
    assert (network.widths, network.strides) == ((24, 32, 96, 320), (4, 8, 8, 8))
    assert sum(p.numel() for p in network.parameters()) == 1_811_712


def test_only_the_first_block_of_a_stage_is_dilated() -> None:
    with torch.device("meta"):
        network = MobileNetV2()
    found = [
        [conv.dilation[0] for conv in getattr(network, f"layer{stage}").modules() if getattr(conv, "groups", 1) > 1]
        for stage in range(1, 8)
    ]
    assert found == [[1], [1, 1], [1, 1, 1], [2, 1, 1, 1], [2, 1, 1], [4, 1, 1], [4]]


def test_stages_end_linear() -> None:
    torch.manual_seed(0)
    features = MobileNetV2(width=0.25).eval()(torch.randn(1, 3, 32, 32))
    assert features.c4 is features.c4_pre
    assert (features.c4 < 0).any()


def test_shortcut_only_where_shapes_agree() -> None:
    same = InvertedResidual(4, 4, expand=2, stride=1, dilation=1).eval()
    nn.init.zeros_(same.conv[-1].bn.weight)
    x = torch.randn(1, 4, 5, 5)
    assert torch.equal(same(x), x)
    assert not InvertedResidual(4, 4, expand=2, stride=2, dilation=1).shortcut
    assert not InvertedResidual(4, 6, expand=2, stride=1, dilation=1).shortcut
    assert len(InvertedResidual(4, 4, expand=1, stride=1, dilation=1).conv) == 2


@pytest.mark.parametrize(
    ("channels", "width", "divisor", "expected"),
    [(32, 1.0, 8, 32), (24, 0.5, 8, 16), (16, 0.1, 8, 8), (12, 1.0, 4, 12), (32, 1.4, 8, 48), (36, 0.5, 8, 24)],
)
def test_scaled_channels(channels: int, width: float, divisor: int, expected: int) -> None:
    """24 * 0.5 = 12 rounds up to 16; 36 * 0.5 = 18 would fall to 16, 11 % too few, so it becomes 24."""
    assert scaled(channels, width, divisor) == expected


@pytest.mark.parametrize("out_stages", [(0, 1, 2), (0, 1, 2, 5), (3, 2, 4, 6)])
def test_bad_output_stages(out_stages: tuple[int, ...]) -> None:
    with pytest.raises(SegkdError, match="expected 4 rising indices that end with 6"):
        MobileNetV2(out_stages=out_stages)
