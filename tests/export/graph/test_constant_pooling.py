from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.models.pooling import AdaptiveAvgPool
from segkd_export.graph.constant_pooling import ConstantPool, fix_adaptive_pools

SIZES = [(1, 1), (1, 7), (6, 6), (7, 5), (8, 13), (13, 8), (16, 32), (45, 80), (64, 128), (97, 193)]


@pytest.mark.parametrize("cells", [1, 2, 3, 6])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_equals_adaptive_average_pooling(height: int, width: int, cells: int) -> None:
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    expected = F.adaptive_avg_pool2d(x.double(), cells)
    torch.testing.assert_close(ConstantPool(height, width, cells)(x).double(), expected, rtol=0, atol=1e-6)


def test_one_row_by_hand() -> None:
    # Cells of 5 positions in 2: [0, 3) and [2, 5); the middle one belongs to both.
    x = torch.tensor([[[[1.0, 2.0, 6.0, 4.0, 5.0]]]])
    assert ConstantPool(1, 5, 2)(x)[0, 0].tolist() == [[3.0, 5.0], [3.0, 5.0]]


def test_every_pool_is_replaced() -> None:
    network = nn.Sequential(nn.Sequential(AdaptiveAvgPool(6), AdaptiveAvgPool(3)), nn.ReLU(), AdaptiveAvgPool(1))
    x = torch.randn(1, 2, 9, 14)
    expected = network(x)
    assert fix_adaptive_pools(network, network, x) == 3
    assert not any(isinstance(module, AdaptiveAvgPool) for module in network.modules())
    torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-6)


class TwoSizes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = AdaptiveAvgPool(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pool(x) + self.pool(x[..., 1:])


def test_one_pool_for_two_sizes_is_refused() -> None:
    network = TwoSizes()
    with pytest.raises(SegkdError, match="pool meets inputs of 2 sizes"):
        fix_adaptive_pools(network, network, torch.zeros(1, 1, 4, 6))
