from __future__ import annotations

import math

import pytest
import torch

from segkd_distill.losses.connector import Connector


@pytest.mark.parametrize(("narrow", "wide"), [(6, 400), (400, 400)])
def test_convolution_without_bias_then_normalisation(narrow: int, wide: int) -> None:
    torch.manual_seed(0)
    connector = Connector(narrow, wide)
    assert [name for name, _ in connector.named_parameters()] == ["conv.weight", "bn.weight", "bn.bias"]
    connected = connector(torch.randn(3, narrow, 5, 4) * 9 + 2)
    assert connected.shape == (3, wide, 5, 4)
    torch.testing.assert_close(connected.mean((0, 2, 3)), torch.zeros(wide), rtol=0, atol=1e-5)
    torch.testing.assert_close(connected.var((0, 2, 3), correction=0), torch.ones(wide), rtol=1e-3, atol=0)


def test_he_normal_weights() -> None:
    torch.manual_seed(0)
    weight = Connector(300, 200).conv.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / 200), rel=0.02)
    assert weight.mean().abs().item() < 1e-3
