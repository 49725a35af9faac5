from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.losses import logit_kd, pixel_cross_entropy
from tests.distill.losses.base import BaseLossTester
from tests.golden_values import golden

GOLDEN = golden("skds")


class TestPixelCrossEntropy(BaseLossTester):
    zero_at_identity = False

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return pixel_cross_entropy(s, t)


class TestMasked(BaseLossTester):
    zero_at_identity = False

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0
        return pixel_cross_entropy(s, t, reduction="skds", mask=mask)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("reduction", "factor"), [("skds", 1), ("mean", 2)])
def test_golden(reduction: str, factor: int, dtype: torch.dtype) -> None:
    # The mean per pixel times the 2 images is the published value.
    s, t = GOLDEN.pair("logits_s", "logits_t", dtype)
    GOLDEN.check(GOLDEN.case("pixelwise"), factor * pixel_cross_entropy(s, t, reduction=reduction), s)


def test_by_hand() -> None:
    # Two classes, two pixels: teacher (1/4, 3/4) and (1/2, 1/2), student (1/2, 1/2) in both.
    t = torch.tensor([[[[0.0, 1.0]], [[math.log(3), 1.0]]]], dtype=torch.float64)
    s = torch.zeros_like(t).requires_grad_()
    loss = pixel_cross_entropy(s, t)
    assert loss.item() == pytest.approx(math.log(2), rel=1e-12)
    loss.backward()
    assert s.grad is not None
    torch.testing.assert_close(s.grad, torch.tensor([[[[0.125, 0.0]], [[-0.125, 0.0]]]], dtype=torch.float64))


def test_is_kd_plus_the_teachers_entropy() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float64)
    p = t.softmax(1)
    entropy = -(p * p.log()).sum(1).mean()
    loss = pixel_cross_entropy(s, t)
    torch.testing.assert_close(loss, logit_kd(s, t) + entropy, rtol=1e-12, atol=0)
    (of_kd,) = torch.autograd.grad(logit_kd(s, t), s)
    torch.testing.assert_close(torch.autograd.grad(loss, s)[0], of_kd, rtol=0, atol=1e-15)


def test_mask_equals_cutting_the_pixels_out() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float64)
    mask = torch.rand(2, 32, 32, generator=torch.Generator().manual_seed(0)) > 0.4
    kept = [x.movedim(1, -1)[mask].T[None, :, :, None] for x in (s, t)]
    loss = pixel_cross_entropy(s, t, mask=mask)
    torch.testing.assert_close(loss, pixel_cross_entropy(kept[0], kept[1]), rtol=1e-12, atol=0)
    loss.backward()
    assert s.grad is not None and not s.grad.movedim(1, -1)[~mask].any()
    everything = torch.ones_like(mask)
    whole = pixel_cross_entropy(s, t, reduction="skds", mask=everything)
    torch.testing.assert_close(whole, pixel_cross_entropy(s, t, reduction="skds"), rtol=1e-12, atol=0)


def test_nothing_valid_is_exactly_zero() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        s, t = GOLDEN.pair("logits_s", "logits_t", dtype)
        loss = pixel_cross_entropy(s, t, mask=torch.zeros(2, 32, 32, dtype=torch.bool))
        loss.backward()
        assert loss.item() == 0
        assert s.grad is not None and not s.grad.any()


def test_bad_input() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float32)
    with pytest.raises(SegkdError, match="unknown reduction 'sum'"):
        pixel_cross_entropy(s, t, reduction="sum")
    with pytest.raises(SegkdError, match=r"bool of shape \(2, 32, 32\)"):
        pixel_cross_entropy(s, t, mask=torch.ones(2, 16, 32, dtype=torch.bool))
