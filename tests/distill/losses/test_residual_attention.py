from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.losses import attention_transfer, residual_attention
from tests.distill.losses.base import BaseLossTester


def stages(x: Tensor) -> tuple[Tensor, ...]:
    """Three stages of 1, 2 and the remaining channels."""
    return x.split([1, 2, x.shape[1] - 3], 1)


class TestResidualAttention(BaseLossTester):
    shape = (2, 5, 4, 6)
    teacher_shape = (2, 7, 4, 6)
    same_shape = False

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return residual_attention(stages(s), stages(t))


class TestMasked(TestResidualAttention):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0
        return residual_attention(stages(s), stages(t), mask=mask)


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).sqrt().view(1, 1, 1, -1)


def test_by_hand() -> None:
    # Unit maps (0.6, 0.8) -> (0.8, 0.6): residual (1, -1) / sqrt(2). Teacher (1, 0) -> (1, 0): nothing changes.
    student, teacher = [row(3, 4), row(4, 3)], [row(2, 0), row(5, 0)]
    assert residual_attention(student, teacher).item() == pytest.approx(0.5, rel=1e-12)
    # The teacher's change in the other direction: the distance of opposite unit vectors.
    assert residual_attention(student, student[::-1]).item() == pytest.approx(4 / 2, rel=1e-12)
    # Two residuals, one of which agrees: the mean over both.
    pair = residual_attention([*student, row(1, 0)], [*student[::-1], row(0, 1)])
    single = residual_attention([student[1], row(1, 0)], [student[0], row(0, 1)])
    assert pair.item() == pytest.approx((2 + single.item()) / 2, rel=1e-12)


def test_what_all_stages_share_does_not_count() -> None:
    # Attention transfer sees the difference of the stages; their change is the same.
    base, bump = torch.tensor([0.5, 0.5, 0.5, 0.5]), torch.tensor([0.1, -0.1, 0.0, 0.0])
    s = [row(*base.tolist()), row(*(base + bump).tolist())]
    t = [2 * s[0], 3 * s[1]]
    assert residual_attention(s, t).item() == pytest.approx(0, abs=1e-20)
    assert attention_transfer(s[0], s[1]).item() > 1e-3


def test_two_equal_stages_give_no_noise() -> None:
    # The maps of features of one sign pattern agree up to rounding: the residual is noise and must stay small.
    signs = torch.randn(1, 8, 6, 6, generator=torch.Generator().manual_seed(0)).sign()
    s = [(199.7 * signs[:, :5]).requires_grad_(), (3.3 * signs).requires_grad_()]
    t = [(17.1 * signs[:, :3]), (0.7 * signs)]
    loss = residual_attention(s, t)
    loss.backward()
    assert loss.item() < 1e-6
    assert all(x.grad is not None and x.grad.abs().max() < 1e-2 for x in s)


def test_everything_masked_is_zero_with_zero_gradient() -> None:
    s = [torch.randn(2, c, 4, 4).requires_grad_() for c in (2, 3)]
    loss = residual_attention(s, [x.detach().flip(0) for x in s], mask=torch.zeros(2, 4, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert all(x.grad is not None and not x.grad.any() for x in s)


@pytest.mark.parametrize(
    ("s", "t", "message"),
    [
        ([row(1, 2)], [row(1, 2)], "at least 2, got 1 and 1"),
        ([row(1, 2)] * 2, [row(1, 2)] * 3, "at least 2, got 2 and 3"),
        ([row(1, 2)] * 2, [row(1, 2, 3)] * 2, "on one grid"),
        ([row(1, 2), row(1, 2, 3)], [row(1, 2), row(1, 2, 3)], "on one grid"),
    ],
)
def test_bad_input(s: list[Tensor], t: list[Tensor], message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        residual_attention(s, t)


def test_mask_of_another_shape() -> None:
    with pytest.raises(SegkdError, match="the mask must be bool of shape"):
        residual_attention([row(1, 2)] * 2, [row(1, 2)] * 2, mask=torch.ones(1, 1, 3, dtype=torch.bool))
