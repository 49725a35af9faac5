from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.models.backbones.resnet import BasicBlock, Bottleneck, ResNetV1c
from segkd_distill.models.zoo import ModelConfig
from tests.distill.models.base import BaseModelTester, small_image


class TestBasicBlocks(BaseModelTester):
    config = ModelConfig(
        "small", "resnetv1c", "psp", {"depth": 18, "base_width": 8}, {"channels": 8}, auxiliary_channels=8
    )


class TestBottlenecks(BaseModelTester):
    config = ModelConfig(
        "small",
        "resnetv1c",
        "psp",
        {"depth": 50, "base_width": 4, "blocks": (1, 1, 2, 2)},
        {"channels": 8},
        auxiliary_channels=8,
    )


class TestSevenBySevenStem(BaseModelTester):
    """Output stride 16, undilated until the last stage, whose blocks have dilations of their own."""

    config = ModelConfig(
        "small",
        "resnetv1c",
        "psp",
        {
            "depth": 50,
            "base_width": 4,
            "blocks": (1, 1, 1, 3),
            "deep_stem": False,
            "strides": (1, 2, 2, 1),
            "dilations": (1, 1, 1, 2),
            "contract_dilation": False,
            "multi_grid": (1, 2, 4),
        },
        {"channels": 8},
    )


def dilations(network: nn.Module, suffix: str) -> list[int]:
    return [m.dilation[0] for name, m in network.named_modules() if name.endswith(suffix)]


def test_only_the_first_convolution_of_a_basic_block_is_dilated() -> None:
    network = ResNetV1c(18, base_width=8)
    assert dilations(network, "conv1") == [1, 1, 1, 1, 1, 2, 2, 4]
    assert dilations(network, "conv2") == [1] * 8
    both = ResNetV1c(18, base_width=8, dilate_both=True)
    assert dilations(both, "conv1") == [1, 1, 1, 1, 1, 2, 2, 4]
    assert dilations(both, "conv2") == [1, 1, 1, 1, 2, 2, 4, 4], "never contracted"


def test_contracted_dilation_of_bottlenecks() -> None:
    with torch.device("meta"):
        network = ResNetV1c(50)
        plain = ResNetV1c(50, contract_dilation=False)
    assert dilations(network.layer3, "conv2") == [1, 2, 2, 2, 2, 2]
    assert dilations(network.layer4, "conv2") == [2, 4, 4]
    assert dilations(plain.layer3, "conv2") + dilations(plain.layer4, "conv2") == [2] * 6 + [4] * 3
    assert [m.stride[0] for n, m in network.layer2.named_modules() if n.endswith("conv2")] == [2, 1, 1, 1]


def test_multi_grid_multiplies_the_last_stage_alone() -> None:
    strided = {"strides": (1, 2, 2, 1), "dilations": (1, 1, 1, 2), "contract_dilation": False}
    with torch.device("meta"):
        network = ResNetV1c(50, multi_grid=(1, 2, 4), **strided)  # type: ignore[arg-type]
        basic = ResNetV1c(18, multi_grid=(1, 3), dilate_both=True, **strided)  # type: ignore[arg-type]
    assert dilations(network.layer3, "conv2") == [1] * 6
    assert dilations(network.layer4, "conv2") == [2, 4, 8]
    assert dilations(basic.layer4, "conv1") == dilations(basic.layer4, "conv2") == [2, 6]
    assert network.strides == (4, 8, 16, 16)


def test_stem_of_seven_by_seven_has_torchvisions_names() -> None:
    with torch.device("meta"):
        network = ResNetV1c(18, deep_stem=False)
    assert list(dict.fromkeys(name.split(".")[0] for name in network.state_dict())) == [
        "conv1",
        "bn1",
        "layer1",
        "layer2",
        "layer3",
        "layer4",
    ]
    assert network.conv1.weight.shape == (64, 3, 7, 7)
    assert network.strides == (4, 8, 8, 8)


def test_widths_and_strides() -> None:
    with torch.device("meta"):
        r101, r18 = ResNetV1c(101), ResNetV1c(18)
        small = ResNetV1c(18, stem=(16,), stem_pool=False, widths=(16, 24, 32, 40), strides=(2, 2, 2, 1))
    assert (r101.widths, r101.strides) == ((256, 512, 1024, 2048), (4, 8, 8, 8))
    assert (r18.widths, r18.strides) == ((64, 128, 256, 512), (4, 8, 8, 8))
    assert [m.out_channels for m in r18.stem if isinstance(m, nn.Conv2d)] == [32, 32, 64]
    assert (small.widths, small.strides) == ((16, 24, 32, 40), (4, 8, 16, 16))


def test_last_stage_before_its_relu() -> None:
    torch.manual_seed(0)
    features = ResNetV1c(18, base_width=8, zero_init_residual=False).eval()(torch.randn(1, 3, 32, 32))
    assert (features.c4_pre < 0).any()
    assert torch.equal(features.c4, F.relu(features.c4_pre))


def test_block_at_its_start_is_the_rectified_shortcut() -> None:
    network = ResNetV1c(18, base_width=8)
    assert float(network.layer1[0].bn2.weight.detach().abs().max()) == 0.0
    network.init_weights()
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(network.layer1[0](x.clone()), F.relu(x))
    other = ResNetV1c(18, base_width=8, zero_init_residual=False)
    assert float(other.layer1[0].bn2.weight.detach().min()) == 1.0
    other.init_weights()
    assert float(other.layer1[0].bn2.weight.detach().min()) == 1.0


def test_bottleneck_by_hand() -> None:
    """1x1 sums with weight 1, a 3x3 that averages nothing but its centre, and a widening by 4."""
    block = Bottleneck(4, 1, dilation=2).eval()
    for name, parameter in block.named_parameters():
        nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.ones_(parameter)
    with torch.no_grad():
        block.conv2.weight.zero_()
        block.conv2.weight[0, 0, 1, 1] = 3.0
    x = torch.arange(1.0, 5.0).view(1, 4, 1, 1).expand(1, 4, 3, 3)
    scale = (1 + 1e-5) ** -0.5  # a normalisation with mean 0, variance 1 and eps 1e-5
    expected = x + (1 + 2 + 3 + 4) * 3 * scale**3
    assert block.downsample is None
    torch.testing.assert_close(block(x), expected)


def test_narrow_shortcut_trains_as_it_evaluates() -> None:
    """The detour of narrow strided 1x1 convolutions gives the convolution's own values and gradients."""
    torch.manual_seed(0)
    shortcut = BasicBlock(6, 8, stride=2).downsample[0]
    x = torch.randn(2, 6, 7, 9, requires_grad=True)
    reference = F.conv2d(x, shortcut.weight, stride=2)
    found = shortcut(x)
    torch.testing.assert_close(found, reference)
    with torch.no_grad():
        torch.testing.assert_close(shortcut(x), reference)
    gradients = [torch.autograd.grad(y.square().sum(), (x, shortcut.weight)) for y in (found, reference)]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_bad_options() -> None:
    with pytest.raises(SegkdError, match="ResNet depth 20 is not known; choose one of 18, 34, 50, 101, 152"):
        ResNetV1c(20)
    with pytest.raises(SegkdError, match="a ResNet has 4 stages, blocks gives 3 values"):
        ResNetV1c(18, blocks=(1, 1, 1))
    with pytest.raises(SegkdError, match="multi_grid gives 3 factors, the last stage has 2 blocks"):
        ResNetV1c(18, multi_grid=(1, 2, 4))


def test_images_of_another_shape_are_refused() -> None:
    model = TestBasicBlocks().build()
    with pytest.raises(SegkdError, match=r"expected images \(N, 3, height, width\), got \(2, 45, 67, 3\)"):
        model(small_image().permute(0, 2, 3, 1))
