from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses import logit_kd
from tests.distill.losses.base import BaseLossTester
from tests.golden_values import golden

GOLDEN = golden("kd")


class TestLogitKD(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return logit_kd(s, t, temperature=2.0)


class TestIfvdReduction(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return logit_kd(s, t, reduction="ifvd")


class TestMasked(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0
        return logit_kd(s, t, temperature=0.5, mask=mask)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", list(GOLDEN.cases))
def test_golden(case: str, dtype: torch.dtype) -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", dtype)
    hyper = GOLDEN.case(case)["hyper"]
    reduction = "ifvd" if "reduction" in hyper else "mean"
    loss = logit_kd(s, t, temperature=hyper["temperature"], reduction=reduction)
    GOLDEN.check(GOLDEN.case(case), loss, s)


def test_by_hand() -> None:
    # Teacher (1/4, 3/4), student (1/2, 1/2): KL = 1/4 ln(1/2) + 3/4 ln(3/2) in one pixel, 0 in the other.
    t = torch.tensor([[[[0.0, 2.0]], [[math.log(3), 2.0]]]], dtype=torch.float64)
    s = torch.full_like(t, 7.0).requires_grad_()
    one_pixel = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert logit_kd(s, t).item() == pytest.approx(one_pixel / 2, rel=1e-12)
    assert logit_kd(s, t, reduction="ifvd").item() == pytest.approx(one_pixel / 4, rel=1e-12)
    assert logit_kd(2 * s, 2 * t, temperature=2.0).item() == pytest.approx(4 * one_pixel / 2, rel=1e-12)
    only_first = torch.tensor([[[True, False]]])
    assert logit_kd(s, t, mask=only_first).item() == pytest.approx(one_pixel, rel=1e-12)
    logit_kd(s, t).backward()
    assert s.grad is not None
    # d/ds of the mean over two pixels: (q - p) / 2.
    torch.testing.assert_close(s.grad[0, :, 0, 0], torch.tensor([0.125, -0.125], dtype=torch.float64))


@pytest.mark.parametrize("reduction", ["mean", "ifvd"])
def test_mask_equals_cutting_the_pixels_out(reduction: str) -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float64)
    mask = torch.rand(2, 32, 32, generator=torch.Generator().manual_seed(0)) > 0.4
    kept = [x.movedim(1, -1)[mask].T[None, :, :, None] for x in (s, t)]
    expected = logit_kd(kept[0], kept[1], temperature=3.0, reduction=reduction)
    loss = logit_kd(s, t, temperature=3.0, mask=mask, reduction=reduction)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    loss.backward()
    assert s.grad is not None
    outside = s.grad.movedim(1, -1)[~mask]
    assert outside.numel() and not outside.any()


@pytest.mark.parametrize("reduction", ["mean", "ifvd"])
def test_nothing_valid_is_exactly_zero(reduction: str) -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float32)
    loss = logit_kd(s, t, mask=torch.zeros(2, 32, 32, dtype=torch.bool), reduction=reduction)
    loss.backward()
    assert loss.item() == 0
    assert s.grad is not None and not s.grad.any()


def test_agrees_with_torch_on_sharp_distributions() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float64)
    expected = F.kl_div((60 * s).log_softmax(1), (60 * t).log_softmax(1), log_target=True, reduction="sum") / (
        2 * 32 * 32
    )
    torch.testing.assert_close(logit_kd(60 * s, 60 * t), expected, rtol=1e-12, atol=0)


def test_bad_input() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float32)
    with pytest.raises(SegkdError, match="temperature above 0"):
        logit_kd(s, t, temperature=0)
    with pytest.raises(SegkdError, match=r"bool of shape \(2, 32, 32\)"):
        logit_kd(s, t, mask=torch.ones(2, 1, 32, 32, dtype=torch.bool))
    with pytest.raises(SegkdError, match=r"mask must be bool"):
        logit_kd(s, t, mask=torch.ones(2, 32, 32))
    with pytest.raises(SegkdError, match="unknown reduction 'sum'"):
        logit_kd(s, t, reduction="sum")
