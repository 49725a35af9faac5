from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.losses import edge_kd
from tests.distill.losses.base import BaseLossTester
from tests.golden_values import golden

GOLDEN = golden("bpkd_thirdparty")


def edges_for(s: Tensor) -> Tensor:
    """Shares between 0 and 1, about half of them 0, and one class of the first image without edges."""
    rng = torch.Generator().manual_seed(8)
    mask = (torch.rand(s.shape, generator=rng, dtype=torch.float64) * 2 - 1).clamp(min=0)
    mask[0, 1] = 0
    return mask


class TestEdgeKD(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return edge_kd(s, t, edges_for(s))


class TestWithoutFilters(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        weights = torch.arange(1.0, 1 + s.shape[1])
        return edge_kd(s, t, edges_for(s), temperature=2.0, class_weight=weights, pre_mask=False, post_mask=False)


class TestValid(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return edge_kd(s, t, edges_for(s), valid=torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_golden(dtype: torch.dtype) -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", dtype)
    hyper = GOLDEN.meta["hyper"]
    mask = torch.from_numpy(GOLDEN.arrays["edge_mask"])
    loss = edge_kd(s, t, mask, temperature=hyper["temperature"], class_weight=hyper["alpha_edge"])
    GOLDEN.check_loss({"loss": GOLDEN.meta["loss_edge"]}, loss)
    loss.backward()
    GOLDEN.check_grad("g_edge", s.grad)


def two_classes(positions: list[tuple[float, float]]) -> tuple[Tensor, Tensor]:
    """(1, 2, 1, w) log-odds of class 0 of (student, teacher), the other class's logits being 0."""
    logits = torch.zeros(2, 1, 2, 1, len(positions), dtype=torch.float64)
    logits[:, 0, 0, 0] = torch.tensor(positions, dtype=torch.float64).T
    return logits[0].requires_grad_(), logits[1]


def test_by_hand() -> None:
    # Teacher (3/4, 1/4), student (1/2, 1/2) at both positions; only the first lies on edges, in full.
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    s, t = two_classes([(0.0, math.log(3)), (0.0, math.log(3))])
    mask = torch.tensor([[[[1.0, 0.0]], [[1.0, 0.0]]]])
    loss = edge_kd(s, t, mask)
    assert loss.item() == pytest.approx((2 + 2) * kl, rel=1e-12)
    loss.backward()
    assert s.grad is not None
    torch.testing.assert_close(s.grad[0, 0, 0], torch.tensor([4 * -0.25, 0.0], dtype=torch.float64))
    assert edge_kd(2 * s, 2 * t, mask, temperature=2.0).item() == pytest.approx(4 * 4 * kl, rel=1e-12)
    # A class without edges adds nothing; the mean is over images.
    one = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.0]]]])
    assert edge_kd(s, t, one, class_weight=torch.tensor([3.0, 5.0])).item() == pytest.approx(3 * kl, rel=1e-12)
    both = edge_kd(s.repeat(2, 1, 1, 1), t.repeat(2, 1, 1, 1), torch.cat([mask, torch.zeros_like(mask)]))
    assert both.item() == pytest.approx(4 * kl / 2, rel=1e-12)


def test_filters_by_hand() -> None:
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    # At half the mask, log-odds of 2 log 3 become log 3 again.
    s, t = two_classes([(0.0, 2 * math.log(3))])
    half = torch.full((1, 2, 1, 1), 0.5)
    strong = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
    assert edge_kd(s, t, half).item() == pytest.approx(4 * 0.5 * kl, rel=1e-12)
    assert edge_kd(s, t, half, post_mask=False).item() == pytest.approx(4 * kl, rel=1e-12)
    assert edge_kd(s, t, half, pre_mask=False).item() == pytest.approx(4 * 0.5 * strong, rel=1e-12)
    # Two of three positions are on edges of class 0: without any filter, all three are charged.
    s, t = two_classes([(0.0, math.log(3))] * 3)
    mask = torch.tensor([[[[0.25, 0.5, 0.0]], [[0.0, 0.0, 0.0]]]])
    assert edge_kd(s, t, mask, pre_mask=False).item() == pytest.approx(2 / 2 * 0.75 * kl, rel=1e-12)
    assert edge_kd(s, t, mask, pre_mask=False, post_mask=False).item() == pytest.approx(2 / 2 * 3 * kl, rel=1e-12)


@pytest.mark.parametrize(
    "filters", [{}, {"pre_mask": False}, {"post_mask": False}, {"pre_mask": False, "post_mask": False}]
)
def test_valid_equals_cutting_the_positions_out(filters: dict[str, bool]) -> None:
    s, t = (x[:1, :, :1] for x in GOLDEN.pair("logits_s", "logits_t", torch.float64))
    s = s.detach().requires_grad_()
    mask = edges_for(s)
    valid = torch.arange(s.shape[3]).view(1, 1, -1) % 3 > 0
    loss = edge_kd(s, t, mask, valid=valid, **filters)
    kept = [x[..., valid[0, 0]] for x in (s.detach(), t, mask)]
    torch.testing.assert_close(loss, edge_kd(*kept, **filters), rtol=1e-12, atol=0)
    loss.backward()
    assert s.grad is not None and not s.grad[..., ~valid[0, 0]].any()


def test_no_edges() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float32)
    for filters in ({}, {"pre_mask": False, "post_mask": False}):
        loss = edge_kd(s, t, torch.zeros_like(s), **filters)
        loss.backward()
        assert loss.item() == 0
        assert s.grad is not None and not s.grad.any()


def test_bad_mask() -> None:
    s = torch.zeros(2, 3, 4, 4)
    with pytest.raises(SegkdError, match=r"edge mask must be float of shape \(2, 3, 4, 4\).*of \(2, 1, 4, 4\)"):
        edge_kd(s, s, torch.zeros(2, 1, 4, 4))
    with pytest.raises(SegkdError, match=r"edge mask must be float.*got torch\.bool"):
        edge_kd(s, s, torch.zeros(2, 3, 4, 4, dtype=torch.bool))
    with pytest.raises(SegkdError, match="the mask must be bool"):
        edge_kd(s, s, torch.zeros_like(s), valid=torch.zeros(2, 4, 4))
    with pytest.raises(SegkdError, match="a temperature above 0 is needed, got 0"):
        edge_kd(s, s, torch.zeros_like(s), temperature=0)
