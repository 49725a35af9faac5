from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from segkd_distill.losses import unit_vectors


def test_by_hand() -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, -2.0]], dtype=torch.float64, requires_grad=True)
    unit = unit_vectors(x)
    torch.testing.assert_close(unit, torch.tensor([[0.6, 0.8], [0.0, -1.0]], dtype=torch.float64))
    unit[0, 0].backward()
    # d(3 / 5) = (1 - 0.36) / 5 and -0.6 * 0.8 / 5.
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.tensor([[0.128, -0.096], [0.0, 0.0]], dtype=torch.float64))


def test_equals_normalize() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=rng, requires_grad=True)
    for dim in (1, -1):
        torch.testing.assert_close(unit_vectors(x, dim), F.normalize(x, dim=dim), rtol=1e-12, atol=0)
        assert torch.autograd.gradcheck(lambda y, d=dim: unit_vectors(y, d), (x,))


def test_no_direction() -> None:
    x = torch.tensor([[0.0, 0.0], [1e-30, 0.0], [0.0, 1.0]], requires_grad=True)
    unit = unit_vectors(x)
    unit.sum().backward()
    assert unit.tolist() == [[0, 0], [0, 0], [0, 1]]
    assert x.grad is not None and x.grad.tolist() == [[0, 0], [0, 0], [1, 0]]


@pytest.mark.parametrize(("scale", "expected"), [(1e-11, [0.6, 0.8]), (1e18, [0.6, 0.8]), (1e30, [0.0, 0.0])])
def test_far_from_one(scale: float, expected: list[float]) -> None:
    x = torch.tensor([[3.0, 4.0]]).mul(scale).requires_grad_()
    unit = unit_vectors(x)  # the square of 1e30 is out of range: no direction
    unit.sum().backward()
    torch.testing.assert_close(unit, torch.tensor([expected]))
    assert x.grad is not None and x.grad.isfinite().all()


def test_dtypes() -> None:
    x = torch.tensor([[3.0, 4.0]])
    assert unit_vectors(x.double()).dtype == torch.float64
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        half = x.to(dtype).requires_grad_()
        unit = unit_vectors(half)
        unit.sum().backward()
        assert unit.dtype == torch.float32
        assert half.grad is not None and half.grad.dtype == dtype
