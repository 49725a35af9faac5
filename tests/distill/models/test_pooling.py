from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from segkd_distill.models.pooling import AdaptiveAvgPool, pooling_matrices, pooling_matrix


def test_windows_by_hand() -> None:
    """5 positions in 3 cells: [0, 2), [1, 4), [3, 5)."""
    half, third = 1 / 2, 1 / 3
    expected = torch.tensor(
        [[half, half, 0, 0, 0], [0, third, third, third, 0], [0, 0, 0, half, half]], dtype=torch.float32
    )
    assert torch.equal(pooling_matrix(5, 3), expected)


@pytest.mark.parametrize("size", [(64, 128), (45, 80), (17, 23), (6, 6), (2, 3)])
@pytest.mark.parametrize("cells", [1, 2, 3, 6])
def test_equal_to_torch(size: tuple[int, int], cells: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size)
    rows, columns = pooling_matrices(*size, cells)
    assert rows.shape == (cells, size[0])
    assert columns.shape == (size[1], cells)
    torch.testing.assert_close(rows @ x @ columns, F.adaptive_avg_pool2d(x, cells), rtol=0, atol=1e-6)
    assert torch.equal(AdaptiveAvgPool(cells)(x), F.adaptive_avg_pool2d(x, cells))
