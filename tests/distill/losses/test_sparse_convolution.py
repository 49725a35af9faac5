from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd_distill.losses.sparse_convolution import rows_at, sparse_conv3x3


def made(share: float, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 5, 4, generator=rng, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(4, 3, 3, 3, generator=rng, dtype=torch.float64).to(dtype).requires_grad_()
    bias = torch.randn(4, generator=rng, dtype=torch.float64).to(dtype).requires_grad_()
    return x, torch.rand(2, 5, 4, generator=rng) < share, weight, bias


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_equals_conv2d(share: float, memory_format: torch.memory_format) -> None:
    x, keep, weight, bias = made(share)
    upstream = torch.randn(2, 4, 5, 4, dtype=torch.float64)
    dense = F.conv2d(x * keep[:, None], weight, bias, padding=1)
    expected = torch.autograd.grad(dense, (x, weight, bias), upstream)
    rows = rows_at(x.contiguous(memory_format=memory_format), keep)
    assert rows.shape == (int(keep.sum()), 3)
    sparse = sparse_conv3x3(rows, keep, weight, bias)
    assert sparse.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(sparse, dense, rtol=1e-12, atol=1e-12)
    actual = torch.autograd.grad(sparse, (x, weight, bias), upstream)
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_gradient() -> None:
    x, keep, weight, bias = made(0.4)
    assert torch.autograd.gradcheck(
        lambda *given: sparse_conv3x3(rows_at(given[0], keep), keep, *given[1:]), (x, weight, bias)
    )


def test_rows_of_another_precision() -> None:
    x, keep, weight, bias = made(0.4, torch.float32)
    sparse = sparse_conv3x3(rows_at(x, keep).bfloat16(), keep, weight, bias)
    assert sparse.dtype == torch.bfloat16
    sparse.sum().backward()
    for tensor in (x, weight, bias):
        assert tensor.grad is not None and tensor.grad.dtype == torch.float32
    dense = F.conv2d(x * keep[:, None], weight, bias, padding=1)
    torch.testing.assert_close(sparse.float(), dense, rtol=0.05, atol=0.2)
