from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses import memory_contrast
from tests.distill.losses.base import BaseLossTester

RNG = torch.Generator().manual_seed(0)
KEYS = F.normalize(torch.randn(13, 5, generator=RNG, dtype=torch.float64), dim=1)


def formula(s: Tensor, t: Tensor, keys: Tensor, temperature: float = 0.1) -> Tensor:
    log_q, log_p = ((x @ keys.T / temperature).log_softmax(1) for x in (s, t))
    return (log_p.exp() * (log_p - log_q)).sum(1).mean()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("segkd_distill.losses.memory_contrast")
    monkeypatch.setattr(module, "SCORES", 4 * len(KEYS))


class TestMemoryContrast(BaseLossTester):
    shape = (11, 5)
    atol_at_identity = 1e-12

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return memory_contrast(s, t, KEYS)


class TestMaps(TestMemoryContrast):
    shape = (2, 5, 2, 3)


def test_formula() -> None:
    s, t = (torch.randn(11, 5, generator=RNG, dtype=torch.float64) for _ in range(2))
    s.requires_grad_()
    for temperature in (0.1, 0.7):
        loss = memory_contrast(s, t, KEYS, temperature=temperature)
        expected = formula(s, t, KEYS, temperature)
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
        (slope,), (expected_slope,) = (torch.autograd.grad(3 * x, s) for x in (loss, expected))
        torch.testing.assert_close(slope, expected_slope, rtol=1e-10, atol=1e-14)
    maps = [x.detach()[:6].T.reshape(1, 5, 2, 3) for x in (s, t)]
    torch.testing.assert_close(memory_contrast(*maps, KEYS), formula(s[:6], t[:6], KEYS).detach(), rtol=1e-12, atol=0)


def test_gradient_of_the_keys() -> None:
    s, t = (torch.randn(6, 5, generator=RNG, dtype=torch.float64) for _ in range(2))
    keys = KEYS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda k: memory_contrast(s, t, k, temperature=0.5), (keys,))
    memory_contrast(s, t, keys).backward()
    s.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, k: memory_contrast(x, t, k, temperature=0.5), (s, keys))


def test_by_hand() -> None:
    # Two keys; the teacher's anchor is the first, the student's is between them.
    keys, t = torch.eye(2, dtype=torch.float64), torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    s = torch.full((1, 2), math.sqrt(0.5), dtype=torch.float64)
    p = 1 / (1 + math.exp(-1 / 0.1))
    expected = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert memory_contrast(s, t, keys).item() == pytest.approx(expected, rel=1e-9)


def test_no_anchor_is_exactly_zero() -> None:
    s = torch.zeros(0, 5, requires_grad=True)
    loss = memory_contrast(s, s.detach(), KEYS)
    loss.backward()
    assert loss.item() == 0 and s.grad is not None


def test_autocast_keeps_full_precision() -> None:
    s, t = (F.normalize(torch.randn(11, 5, generator=RNG), dim=1) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        loss = memory_contrast(s, t, KEYS)
    assert loss.item() == pytest.approx(formula(s.double(), t.double(), KEYS).item(), rel=1e-5)


def test_bad_input() -> None:
    s = torch.zeros(3, 5)
    for keys in (torch.zeros(4, 6), torch.zeros(0, 5), torch.zeros(2, 2, 5)):
        with pytest.raises(SegkdError, match="with keys"):
            memory_contrast(s, s, keys)
    with pytest.raises(SegkdError, match="one shape"):
        memory_contrast(s, s[:2], KEYS)
    with pytest.raises(SegkdError, match="temperature above 0"):
        memory_contrast(s, s, KEYS, temperature=0.0)
