from __future__ import annotations

import torch

from segkd_distill.models.layers import (
    ConvModule,
    DepthwiseSeparableConv,
    StridedConv1x1,
    initialise_layers,
    resize_like,
)


def test_activations() -> None:
    x = torch.tensor([-1.0, 3.0, 9.0]).view(1, 1, 1, 3)
    found = {}
    for activation in ("relu", "relu6", "linear"):
        layer = ConvModule(1, 1, activation=activation).eval()
        torch.nn.init.ones_(layer.conv.weight)
        found[activation] = [round(float(v), 3) for v in layer(x).detach().flatten()]
    assert found == {"relu": [0.0, 3.0, 9.0], "relu6": [0.0, 3.0, 6.0], "linear": [-1.0, 3.0, 9.0]}


def test_padding_keeps_the_size_at_any_dilation() -> None:
    for kernel, dilation in ((1, 1), (3, 1), (3, 6)):
        assert ConvModule(2, 3, kernel, dilation=dilation)(torch.randn(2, 2, 5, 9)).shape == (2, 3, 5, 9)


def test_separable_convolution_is_a_depthwise_then_a_pointwise_one() -> None:
    layer = DepthwiseSeparableConv(6, 4, dilation=2)
    assert layer.depthwise_conv.conv.weight.shape == (6, 1, 3, 3)
    assert layer.pointwise_conv.conv.weight.shape == (4, 6, 1, 1)


def test_initial_deviation_is_kaiming_fan_out() -> None:
    torch.manual_seed(0)
    layer = ConvModule(64, 128, 3)
    torch.nn.init.zeros_(layer.bn.weight)
    initialise_layers(layer)
    expected = (2 / (128 * 9)) ** 0.5
    assert abs(float(layer.conv.weight.detach().std()) / expected - 1) < 0.02
    assert float(layer.bn.weight.detach().min()) == 1.0


def test_strided_pointwise_picks_every_other_pixel() -> None:
    layer = StridedConv1x1(1, 1, 2)
    torch.nn.init.constant_(layer.weight, 2.0)
    x = torch.arange(15.0).view(1, 1, 3, 5)
    assert layer(x).flatten().tolist() == [0.0, 4.0, 8.0, 20.0, 24.0, 28.0]


def test_padding_can_be_left_to_the_caller() -> None:
    assert ConvModule(2, 3, 3, padding=0)(torch.randn(2, 2, 5, 9)).shape == (2, 3, 3, 7)


def test_resize_by_hand() -> None:
    x = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    four = torch.zeros(1, 3, 1, 4)
    assert resize_like(x, four, align_corners=False).flatten().tolist() == [0.0, 0.25, 0.75, 1.0]
    torch.testing.assert_close(resize_like(x, four, align_corners=True).flatten(), torch.tensor([0, 1 / 3, 2 / 3, 1]))
    assert resize_like(x, torch.zeros(2, 5, 1, 2), align_corners=False) is x
