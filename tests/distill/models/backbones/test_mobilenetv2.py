from __future__ import annotations

import pytest
import torch
from torch import nn

from segkd.errors import SegkdError
from segkd_distill.models.backbones.mobilenetv2 import InvertedResidual, MobileNetV2, scaled
from segkd_distill.models.backbones.mobilenetv2_stages import ATTNFD_STAGES, CIRKD_STAGES, STAGES, Stage
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


@pytest.mark.parametrize(
    ("stages", "strides", "expected"),
    [
        (STAGES, (4, 8, 8, 8), [[1], [1, 1], [1, 1, 1], [2, 1, 1, 1], [2, 1, 1], [4, 1, 1], [4]]),
        (CIRKD_STAGES, (4, 8, 8, 8), [[1], [1, 1], [1, 1, 1], [1, 2, 2, 2], [2, 2, 2], [2, 4, 4], [4]]),
        (ATTNFD_STAGES, (4, 8, 16, 16), [[1], [1, 1], [1, 1, 1], [1, 1, 1, 1], [1, 1, 1], [1, 1, 1], [2]]),
    ],
    ids=["mmsegmentation", "CIRKD", "AttnFD"],
)
def test_dilations_of_the_published_networks(
    stages: tuple[Stage, ...], strides: tuple[int, ...], expected: list[list[int]]
) -> None:
    with torch.device("meta"):
        network = MobileNetV2(stages=stages)
    found = [
        [conv.dilation[0] for conv in getattr(network, f"layer{stage}").modules() if getattr(conv, "groups", 1) > 1]
        for stage in range(1, 8)
    ]
    assert found == expected
    assert network.strides == strides
    assert sum(p.numel() for p in network.parameters()) == 1_811_712


def test_padding_of_the_input_reaches_the_depthwise_convolution_as_what_0_becomes() -> None:
    """An expansion with bias 3 turns the zeros around the input into 3; inside, both ways agree."""
    torch.manual_seed(0)
    blocks = [
        InvertedResidual(1, 2, expand=2, stride=1, dilation=2, pad_input=pad_input).eval()
        for pad_input in (False, True)
    ]
    with torch.no_grad():
        for block in blocks:
            block.conv[0].conv.weight.fill_(1.0)
            block.conv[0].bn.bias.fill_(3.0)
            block.conv[1].conv.weight.fill_(1.0)
            block.conv[2].conv.weight.fill_(1.0)
        inner, outer = (block(torch.zeros(1, 1, 9, 9))[0, 0] for block in blocks)
    # 2 hidden channels, each the ReLU6 of 9 * 3; at the corner 4 of the 9 positions are inside.
    scale = (1 + 1e-5) ** -0.5
    assert float(inner[4, 4]) == pytest.approx(2 * 6 * scale)
    torch.testing.assert_close(inner[2:7, 2:7], outer[2:7, 2:7])
    torch.testing.assert_close(outer, outer[4, 4].expand(9, 9))
    with torch.no_grad():
        for block in blocks:
            block.conv[1].conv.weight.fill_(0.1)
        inner, outer = (block(torch.zeros(1, 1, 9, 9))[0, 0] for block in blocks)
    assert float(inner[0, 0]) == pytest.approx(2 * 4 * 0.3 * scale**2, rel=1e-5)
    assert float(outer[0, 0]) == pytest.approx(2 * 9 * 0.3 * scale**2, rel=1e-5)
    strided = InvertedResidual(3, 4, expand=1, stride=2, dilation=1, pad_input=True).eval()
    assert strided(torch.randn(1, 3, 7, 10)).shape == (1, 4, 4, 5)


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
