from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.losses import body_kd, channel_wise
from tests.distill.losses.base import BaseLossTester
from tests.distill.losses.test_edge_kd import edges_for
from tests.golden_values import golden

GOLDEN = golden("bpkd_thirdparty")


class TestBodyKD(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return body_kd(s, t, edges_for(s))


class TestValid(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        valid = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0
        return body_kd(s, t, edges_for(s), temperature=2.0, valid=valid)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_golden(dtype: torch.dtype) -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", dtype)
    mask, share = (torch.from_numpy(GOLDEN.arrays[key]) for key in ("edge_mask", "valid_mask"))
    # The third party multiplies the body's logits by the share of valid pixels.
    loss = body_kd(s * share, t * share, mask, temperature=GOLDEN.meta["hyper"]["temperature"])
    GOLDEN.check_loss({"loss": GOLDEN.meta["loss_body"]}, loss)
    loss.backward()
    GOLDEN.check_grad("g_body", s.grad)


def test_without_edges_it_is_channel_wise() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float64)
    assert torch.equal(body_kd(s, t, torch.zeros_like(s), temperature=4.0), channel_wise(s, t))
    assert body_kd(s, t, torch.ones_like(s)).item() == 0


def test_by_hand() -> None:
    # Teacher's spatial distribution (1/4, 3/4), the student's (1/2, 1/2), where the edge mask halves logits of 2 log 3.
    t = torch.tensor([[[[0.0, 2 * math.log(3)]]]], dtype=torch.float64)
    s = torch.zeros_like(t)
    mask = torch.tensor([[[[0.0, 0.5]]]])
    kl = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert body_kd(s, t, mask).item() == pytest.approx(kl, rel=1e-12)
    assert body_kd(s, 4 * t, mask, temperature=4.0).item() == pytest.approx(16 * kl, rel=1e-12)


def test_nothing_valid() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float32)
    loss = body_kd(s, t, edges_for(s), valid=torch.zeros(2, 32, 32, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert s.grad is not None and not s.grad.any()


def test_bad_mask() -> None:
    s = torch.zeros(2, 3, 4, 4)
    with pytest.raises(SegkdError, match=r"edge mask must be float of shape \(2, 3, 4, 4\).*of \(2, 4, 4\)"):
        body_kd(s, s, torch.zeros(2, 4, 4))
