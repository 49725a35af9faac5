from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.losses.softened_kl import softened_kl
from tests.distill.losses.base import BaseLossTester


class TestOverColumns(BaseLossTester):
    shape = (3, 7)

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return softened_kl(s, t, dim=1, temperature=0.5)


class TestWeighted(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        weight = torch.linspace(0, 2, s[:, 0].numel(), dtype=torch.float64).view_as(s[:, :1])
        return softened_kl(s, t, dim=1, temperature=2.0, weight=weight)


def test_keeps_one_tensor_for_the_backward_pass() -> None:
    s = torch.randn(2, 5, 8, 8, requires_grad=True)
    t = torch.randn(2, 5, 8, 8, requires_grad=True)
    kept: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = softened_kl(s, t, dim=1, temperature=3.0)
    assert sum(kept) == s.numel()
    loss.backward()
    assert t.grad is None


def test_backward_twice_adds_the_same_gradient() -> None:
    s, t = torch.randn(2, 5, requires_grad=True), torch.randn(2, 5)
    loss = softened_kl(s, t, dim=1)
    loss.backward(retain_graph=True)
    assert s.grad is not None
    once = s.grad.clone()
    loss.backward()
    torch.testing.assert_close(s.grad, 2 * once)


def test_one_dtype_above_half() -> None:
    mixed = softened_kl(torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bfloat16), dim=1)
    assert mixed.dtype == torch.float32 and mixed == 0


def test_nan_temperature_is_refused() -> None:
    with pytest.raises(SegkdError, match="temperature above 0"):
        softened_kl(torch.zeros(2, 3), torch.zeros(2, 3), dim=1, temperature=float("nan"))
