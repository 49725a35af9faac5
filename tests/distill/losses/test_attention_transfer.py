from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.losses import attention_transfer
from segkd_distill.losses.attention_transfer import attention_map
from tests.distill.losses.base import BaseLossTester
from tests.golden_values import golden

GOLDEN = golden("extras")


class TestAttentionTransfer(BaseLossTester):
    shape = (2, 3, 4, 6)
    teacher_shape = (2, 5, 4, 6)
    same_shape = False

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return attention_transfer(s, t)


class TestMasked(TestAttentionTransfer):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0
        return attention_transfer(s, t, mask=mask)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_golden(dtype: torch.dtype) -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
    GOLDEN.check(GOLDEN.case("AT"), attention_transfer(s, t), s)


def test_by_hand() -> None:
    # Energies (3, 4) and (1, 0): unit maps (0.6, 0.8) and (1, 0).
    s = torch.tensor([[[[1.0, 2.0]], [[-(5**0.5), 2.0]]]], dtype=torch.float64)
    t = torch.tensor([[[[-7.0, 0.0]]]], dtype=torch.float64)
    torch.testing.assert_close(attention_map(s), torch.tensor([[0.6, 0.8]], dtype=torch.float64))
    assert attention_transfer(s, t).item() == pytest.approx((0.4**2 + 0.8**2) / 2, rel=1e-12)
    first = torch.tensor([[[True, False]]])
    assert attention_transfer(s, t, mask=first).item() == 0


def test_scale_and_width_do_not_matter() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float64)
    loss = attention_transfer(s, t)
    torch.testing.assert_close(attention_transfer(5 * s, t), loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(attention_transfer(torch.cat([s, -s], 1), t), loss, rtol=1e-12, atol=0)


def test_mask_equals_cutting_the_positions_out() -> None:
    s, t = (x[:1] for x in GOLDEN.pair("feat_s", "feat_t", torch.float64))
    s = s.detach().requires_grad_()
    mask = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0)) > 0.4
    kept = [x.movedim(1, -1)[mask].T[None, :, :, None] for x in (s, t)]
    loss = attention_transfer(s, t, mask=mask)
    torch.testing.assert_close(loss, attention_transfer(kept[0], kept[1]), rtol=1e-12, atol=0)
    loss.backward()
    assert s.grad is not None
    assert not s.grad.movedim(1, -1)[~mask].any()


def test_everything_masked_is_zero_with_zero_gradient() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float32)
    loss = attention_transfer(s, t, mask=torch.zeros(2, 16, 16, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert s.grad is not None and not s.grad.any()


def test_autocast_does_not_lower_the_precision() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss = attention_transfer(s, t)
    assert loss.item() == attention_transfer(s, t).item()


def test_bad_input() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float32)
    with pytest.raises(SegkdError, match=r"on one grid, got .*resize the teacher's first"):
        attention_transfer(s, t[:, :, :8])
    with pytest.raises(SegkdError, match="the mask must be bool of shape"):
        attention_transfer(s, t, mask=torch.ones(2, 16, 16))
