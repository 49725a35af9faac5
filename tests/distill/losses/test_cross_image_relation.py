from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses import cross_image_relation
from tests.distill.losses.base import BaseLossTester
from tests.golden_values import golden

GOLDEN = golden("cirkd")
# The package holds the function under the name of its file.
MODULE = importlib.import_module("segkd_distill.losses.cross_image_relation")


def relation_of_lists(s: list[Tensor], t: list[Tensor], temperature: float) -> Tensor:
    """The formula as it is written down; s, t: per image (pixels, C)."""
    s, t = ([F.normalize(x, dim=1) / math.sqrt(temperature) for x in xs] for xs in (s, t))
    pairs = []
    for s_i, t_i in zip(s, t, strict=True):
        for s_j, t_j in zip(s, t, strict=True):
            log_q, log_p = (s_i @ s_j.T).log_softmax(1), (t_i @ t_j.T).log_softmax(1)
            pairs.append((log_p.exp() * (log_p - log_q)).sum(1).mean())
    return torch.stack(pairs).mean()


def rows(x: Tensor) -> list[Tensor]:
    return list(x.flatten(2).transpose(1, 2))


class TestCrossImageRelation(BaseLossTester):
    shape = (2, 3, 3, 4)
    teacher_shape = (2, 5, 3, 4)
    atol_at_identity = 1e-12
    same_shape = False

    @pytest.fixture(autouse=True)
    def small_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(MODULE, "ROWS", 7)

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return cross_image_relation(s, t)


class TestMasked(TestCrossImageRelation):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0
        return cross_image_relation(s, t, temperature=0.5, mask=mask)


class TestInFloat64(TestCrossImageRelation):
    rtol_half = 1e-4

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return cross_image_relation(s, t, temperature=0.01)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_golden(dtype: torch.dtype) -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
    case = GOLDEN.case("minibatch_pixel")
    # The original adds up in float32.
    loss = cross_image_relation(s, t, temperature=case["hyper"]["temperature"])
    GOLDEN.check_loss(case, loss, rtol=1e-6 if dtype == torch.float64 else None)
    loss.backward()
    GOLDEN.check_grad(case["grad_key"], s.grad)


@pytest.mark.parametrize("block", [1, 7, 20, 60, 1000])
def test_any_block_size_gives_the_formula(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "ROWS", block)
    rng = torch.Generator().manual_seed(1)
    s = torch.randn(3, 4, 4, 5, generator=rng, dtype=torch.float64, requires_grad=True)
    t = torch.randn(3, 6, 4, 5, generator=rng, dtype=torch.float64)
    for temperature in (0.1, 2.0):
        expected = relation_of_lists(rows(s), rows(t), temperature)
        loss = cross_image_relation(s, t, temperature=temperature)
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
        (slope,), (expected_slope,) = (torch.autograd.grad(3 * x, s) for x in (loss, expected))
        torch.testing.assert_close(slope, expected_slope, rtol=1e-10, atol=1e-14)


def test_by_hand() -> None:
    # One image of two pixels, at right angles for the teacher and alike for the student: q = 1/2 everywhere.
    t = torch.tensor([[[[1.0, 0.0]], [[0.0, 5.0]]]], dtype=torch.float64)
    s = torch.tensor([[[[2.0, 3.0]]]], dtype=torch.float64)
    p = 1 / (1 + math.exp(-1 / 0.5))
    expected = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert cross_image_relation(s, t, temperature=0.5).item() == pytest.approx(expected, rel=1e-12)


def test_mask_equals_cutting_the_pixels_out() -> None:
    rng = torch.Generator().manual_seed(2)
    s = torch.randn(4, 4, 3, 5, generator=rng, dtype=torch.float64, requires_grad=True)
    t = torch.randn(4, 6, 3, 5, generator=rng, dtype=torch.float64)
    mask = torch.rand(4, 3, 5, generator=rng) > 0.4
    mask[2] = False
    kept = [[x[i].flatten(1).T[mask[i].flatten()] for i in (0, 1, 3)] for x in (s, t)]
    loss = cross_image_relation(s, t, mask=mask)
    torch.testing.assert_close(loss, relation_of_lists(kept[0], kept[1], 0.1), rtol=1e-12, atol=0)
    loss.backward()
    assert s.grad is not None and not s.grad.movedim(1, -1)[~mask].any()
    every = cross_image_relation(s, t, mask=torch.ones_like(mask))
    torch.testing.assert_close(every, cross_image_relation(s, t), rtol=1e-12, atol=0)


@pytest.mark.parametrize("temperature", [0.1, 0.015, 0.002])
def test_float32_agrees_with_float64(temperature: float) -> None:
    rng = torch.Generator().manual_seed(3)
    s, t = (torch.randn(2, 8, 6, 6, generator=rng) for _ in range(2))
    loss = cross_image_relation(s, t, temperature=temperature)
    assert loss.dtype == torch.float32
    exact = cross_image_relation(s.double(), t.double(), temperature=temperature)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)
    formula = relation_of_lists(rows(s.double()), rows(t.double()), temperature)
    assert exact.item() == pytest.approx(formula.item(), rel=1e-9)


def test_dead_pixel_gets_no_gradient() -> None:
    rng = torch.Generator().manual_seed(4)
    s, t = (torch.randn(1, 4, 3, 3, generator=rng).relu() for _ in range(2))
    s[0, :, 1, 1] = 0
    s.requires_grad_()
    cross_image_relation(s, t).backward()
    assert s.grad is not None and not s.grad[0, :, 1, 1].any()
    assert 0 < s.grad.abs().max() < 10


def test_autocast_keeps_full_precision() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        GOLDEN.check(GOLDEN.case("minibatch_pixel"), cross_image_relation(s, t), s)


def test_nothing_valid_is_exactly_zero() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.bfloat16)
    loss = cross_image_relation(s, t, mask=torch.zeros(2, 16, 16, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and s.grad is not None and not s.grad.any()


def test_bad_input() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float32)
    with pytest.raises(SegkdError, match="on one grid"):
        cross_image_relation(s, t[..., :8])
    with pytest.raises(SegkdError, match="on one grid"):
        cross_image_relation(s.flatten(2), t.flatten(2))
    for temperature in (0.0, -1.0, 0.001, math.nan):
        with pytest.raises(SegkdError, match="temperature of at least 1/600"):
            cross_image_relation(s, t, temperature=temperature)
    with pytest.raises(SegkdError, match=r"bool of shape \(2, 16, 16\)"):
        cross_image_relation(s, t, mask=torch.ones(2, 16, 8, dtype=torch.bool))
