from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from segkd_distill.losses.cbam import CBAM, ChannelGate, SpatialGate, parameter_free_cbam


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_channel_gate_by_hand() -> None:
    gate = ChannelGate(2, reduction=2)
    first, second = gate.mlp[0], gate.mlp[2]
    assert isinstance(first, torch.nn.Linear) and isinstance(second, torch.nn.Linear)
    assert first.weight.shape == (1, 2)
    for parameter, value in ((first.weight, [[1.0, -1.0]]), (first.bias, [0.5]), (second.weight, [[2.0], [-1.0]])):
        parameter.data = torch.tensor(value)
    second.bias.data.zero_()
    x = torch.tensor([[[[0.0, 2.0]], [[-1.0, 0.0]]]])
    # Means (1, -0.5) and maxima (2, 0) give the hidden values 2 and 2.5.
    expected = torch.tensor([sigmoid(2 * 4.5), sigmoid(-4.5)])
    torch.testing.assert_close(gate(x).flatten(), expected)


def test_spatial_gate_by_hand() -> None:
    gate = SpatialGate().eval()
    gate.conv.weight.data.zero_()
    gate.conv.weight.data[0, 0, 3, 3] = 1.0  # the largest channel here
    gate.conv.weight.data[0, 1, 3, 4] = 10.0  # the mean channel of the right neighbour
    x = torch.tensor([[[[1.0, 4.0]], [[3.0, -4.0]]]])
    expected = torch.tensor([sigmoid(3 + 10 * 0), sigmoid(4.0)])
    torch.testing.assert_close(gate(x).flatten(), expected, rtol=1e-4, atol=0)


def test_parameter_free_by_hand() -> None:
    x = torch.tensor([[[[0.0, 2.0]], [[-1.0, 0.0]]]])
    gated = [[0.0, 2 * sigmoid(3)], [-sigmoid(-0.5), 0.0]]
    columns = []
    for a, b in zip(*gated, strict=True):
        gate = sigmoid(max(a, b) + (a + b) / 2)
        columns.append([a * gate, b * gate])
    torch.testing.assert_close(parameter_free_cbam(x)[0, :, 0], torch.tensor(columns).T)


@pytest.mark.parametrize("channels", [3, 32])
def test_gradients(channels: int) -> None:
    torch.manual_seed(0)
    cbam = CBAM(channels).double()
    x = torch.randn(2, channels, 2, 3, dtype=torch.float64, requires_grad=True)
    names = list(dict(cbam.named_parameters()))

    def refined(x: Tensor, *weights: Tensor) -> Tensor:
        output: Tensor = torch.func.functional_call(cbam, dict(zip(names, weights, strict=True)), (x,))
        return output.square().sum()

    weights = [p.detach().clone().requires_grad_() for p in cbam.parameters()]
    assert torch.autograd.gradcheck(refined, (x, *weights), fast_mode=True)
    assert torch.autograd.gradcheck(parameter_free_cbam, (x,), fast_mode=True)


def test_gates_only_damp() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 20, 5, 4) * 50
    for refined in (CBAM(20)(x), parameter_free_cbam(x)):
        assert refined.shape == x.shape
        assert (refined.abs() <= x.abs()).all() and (refined * x >= 0).all()
