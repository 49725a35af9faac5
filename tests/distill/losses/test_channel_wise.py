from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses import channel_wise
from tests.distill.losses.base import BaseLossTester
from tests.golden_values import from_recipe, golden

GOLDEN = golden("cwd")


class TestChannelWise(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return channel_wise(s, t)


class TestMasked(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0
        return channel_wise(s, t, temperature=1.0, mask=mask)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("case", "temperature", "weight"),
    [
        ("torchdistiller_logits_T4", 4.0, 1.0),
        ("torchdistiller_logits_T1", 1.0, 1.0),
        ("mmrazor_tau1_w5", 1.0, 5.0),
        ("mmrazor_tau4_w3", 4.0, 3.0),
    ],
)
def test_golden_logits(case: str, temperature: float, weight: float, dtype: torch.dtype) -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", dtype)
    GOLDEN.check(GOLDEN.case(case), weight * channel_wise(s, t, temperature=temperature), s)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_golden_features(dtype: torch.dtype) -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
    case = GOLDEN.case("cirkd_repo_feature_T4")
    adapted = F.conv2d(s, torch.from_numpy(from_recipe(case["adapter"]["recipe"])).to(dtype))
    # CIRKD divides by the student's 16 channels instead of the 32 that are compared.
    GOLDEN.check(case, channel_wise(adapted, t, temperature=4.0) * (32 / 16), s)


def test_original_underflows_and_this_does_not() -> None:
    case = GOLDEN.case("torchdistiller_underflow_demo")
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float32)
    log_of_softmax = F.softmax((60 * s).flatten(2), dim=2).log()
    original = F.kl_div(log_of_softmax, F.softmax(t.flatten(2), dim=2), reduction="sum")
    assert case["loss"] == "inf" and original.isinf()
    loss = channel_wise(60 * s, t, temperature=1.0)
    loss.backward()
    assert s.grad is not None and s.grad.isfinite().all()
    exact = channel_wise(60 * s.detach().double(), t.double(), temperature=1.0)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)


def test_by_hand() -> None:
    # One channel of two positions, teacher (1/4, 3/4), student (1/2, 1/2); the second channel agrees.
    t = torch.tensor([[[[0.0, math.log(3)]], [[1.0, 1.0]]]], dtype=torch.float64)
    s = torch.full_like(t, -2.0).requires_grad_()
    one_channel = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    loss = channel_wise(s, t, temperature=1.0)
    assert loss.item() == pytest.approx(one_channel / 2, rel=1e-12)
    assert channel_wise(4 * s, 4 * t).item() == pytest.approx(16 * one_channel / 2, rel=1e-12)
    loss.backward()
    assert s.grad is not None
    torch.testing.assert_close(s.grad[0, 0, 0], torch.tensor([0.125, -0.125], dtype=torch.float64))


def test_mask_equals_cutting_the_positions_out() -> None:
    s, t = (x[:1] for x in GOLDEN.pair("logits_s", "logits_t", torch.float64))
    s = s.detach().requires_grad_()
    mask = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0)) > 0.4
    kept = [x.movedim(1, -1)[mask].T[None, :, :, None] for x in (s, t)]
    loss = channel_wise(s, t, mask=mask)
    torch.testing.assert_close(loss, channel_wise(kept[0], kept[1]), rtol=1e-12, atol=0)
    loss.backward()
    assert s.grad is not None
    outside = s.grad.movedim(1, -1)[~mask]
    assert outside.numel() and not outside.any()


def test_mean_is_over_images_with_a_valid_position() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float64)
    mask = torch.ones(2, 32, 32, dtype=torch.bool)
    torch.testing.assert_close(channel_wise(s, t, mask=mask), channel_wise(s, t), rtol=1e-12, atol=0)
    mask[1] = False
    torch.testing.assert_close(channel_wise(s, t, mask=mask), channel_wise(s[:1], t[:1]), rtol=1e-12, atol=0)


def test_nothing_valid_is_exactly_zero() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        s, t = GOLDEN.pair("logits_s", "logits_t", dtype)
        loss = channel_wise(s, t, mask=torch.zeros(2, 32, 32, dtype=torch.bool))
        loss.backward()
        assert loss.item() == 0
        assert s.grad is not None and not s.grad.any()


def test_bad_input() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float32)
    with pytest.raises(SegkdError, match="temperature above 0"):
        channel_wise(s, t, temperature=-1.0)
    with pytest.raises(SegkdError, match=r"bool of shape \(2, 32, 32\)"):
        channel_wise(s, t, mask=torch.ones(2, 16, 32, dtype=torch.bool))
