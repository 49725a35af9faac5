from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses import pairwise_affinity
from tests.distill.losses.base import BaseLossTester
from tests.golden_values import golden

GOLDEN = golden("skds")
# The original's values, in float32 alone, are differences of nearly equal affinities: at scale 0.5 they are 1.2e-4 off.
SCALES = [(0.5, 1.2e-4), (0.25, 4e-6), (0.125, 1e-6)]


class TestByNodes(BaseLossTester):
    """More channels than nodes."""

    shape = (2, 9, 6, 4)
    teacher_shape = (2, 11, 6, 4)
    same_shape = False

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return pairwise_affinity(s, t)


class TestByChannels(BaseLossTester):
    """More nodes than channels; the sums of the same numbers cancel up to rounding."""

    shape = (2, 3, 4, 8)
    teacher_shape = (2, 4, 4, 8)
    same_shape = False
    atol_at_identity = 1e-15

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return pairwise_affinity(s, t)


class TestMasked(BaseLossTester):
    shape = (2, 3, 4, 5)
    teacher_shape = (2, 4, 4, 5)
    same_shape = False
    atol_at_identity = 1e-15

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0
        return pairwise_affinity(s, t, window=1, mask=mask)


class TestConstantNorm(BaseLossTester):
    same_shape = False
    atol_at_identity = 1e-15

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return pairwise_affinity(s, t, scale=0.25)

    def test_gradient(self) -> None:
        # Not that of the value: the norm counts as a constant.
        s, t = self.inputs()
        (grad,) = torch.autograd.grad(self.loss(s, t), s)
        (expected,) = torch.autograd.grad(reference(s, t, (1, 1), constant_norm=True), s)
        torch.testing.assert_close(grad, expected, rtol=1e-9, atol=1e-15)


def reference(s: Tensor, t: Tensor, size: tuple[int, int], *, constant_norm: bool = False) -> Tensor:
    """The definition, with autograd."""

    def affinities(x: Tensor) -> Tensor:
        nodes = F.max_pool2d(x, size, ceil_mode=True).flatten(2)
        norm = nodes.norm(dim=1, keepdim=True)
        unit = nodes / (norm.detach() + 1e-8 if constant_norm else norm)
        return torch.einsum("ncp,ncq->npq", unit, unit)

    return (affinities(t) - affinities(s)).square().mean()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_golden_window(dtype: torch.dtype) -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
    GOLDEN.check(GOLDEN.case("cirkd_repo_pairwise"), pairwise_affinity(s, t), s)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("scale", "rtol"), SCALES)
def test_golden_scale(scale: float, rtol: float, dtype: torch.dtype) -> None:
    case = GOLDEN.case(f"pairwise_scale{scale:g}")
    s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
    loss = pairwise_affinity(s, t, scale=scale)
    # The loss is a mean of squares of small differences of affinities near 1: float32 rounds these differences, another
    # processor in another order, as far as float64 is from the recorded float32.
    GOLDEN.check_loss(case, loss, rtol=max(rtol, 1e-6))
    loss.backward()
    GOLDEN.check_grad(case["grad_key"], s.grad)


def test_by_hand() -> None:
    # One image of two nodes: the student's at a right angle, the teacher's at cos 0.6; two of four pairs differ.
    s = torch.tensor([[[[3.0, 0.0]], [[0.0, 2.0]]]], dtype=torch.float64)
    t = torch.tensor([[[[1.0, 0.6]], [[0.0, 0.8]]]], dtype=torch.float64)
    assert pairwise_affinity(s, t, window=1).item() == pytest.approx(2 * 0.36 / 4, rel=1e-12)
    assert pairwise_affinity(s, t, window=2).item() == pytest.approx(0, abs=1e-15)  # one node


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(12, 10), (9, 10), (7, 5)])
@pytest.mark.parametrize("channels", [3, 40])
def test_agrees_with_the_definition(channels: int, height: int, width: int, window: int) -> None:
    rng = torch.Generator().manual_seed(7)
    s, t = (torch.randn(2, c, height, width, generator=rng, dtype=torch.float64) + 0.5 for c in (channels, 5))
    s.requires_grad_()
    loss, expected = pairwise_affinity(s, t, window=window), reference(s, t, (window, window))
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    (grad,) = torch.autograd.grad(3 * loss, s)
    torch.testing.assert_close(grad, torch.autograd.grad(3 * expected, s)[0], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("common", [0.0, 3.0])
@pytest.mark.parametrize(("noise", "rtol"), [(1.0, 1e-5), (0.1, 5e-5), (0.01, 1e-3)])
def test_float32_where_sums_of_squares_cancel(noise: float, rtol: float, common: float) -> None:
    rng = torch.Generator().manual_seed(5)
    s = torch.randn(1, 16, 32, 32, generator=rng).relu() + common
    t = s + noise * torch.randn(1, 16, 32, 32, generator=rng)
    s.requires_grad_()
    loss, exact = pairwise_affinity(s, t, window=1), pairwise_affinity(s.double(), t.double(), window=1)
    assert loss.item() == pytest.approx(exact.item(), rel=rtol)
    (grad,), (expected,) = torch.autograd.grad(loss, s), torch.autograd.grad(exact, s)
    torch.testing.assert_close(grad, expected, rtol=0, atol=rtol * expected.abs().max().item())


def test_ties_go_to_the_first_position() -> None:
    # Features after a ReLU have windows of equal zeros.
    rng = torch.Generator().manual_seed(2)
    s, t = (torch.randn(2, 6, 8, 8, generator=rng, dtype=torch.float64).relu().round() for _ in range(2))
    s.requires_grad_()
    t[:, 0] += 1
    s_positive = s + F.one_hot(torch.tensor(0), 6).view(1, 6, 1, 1)
    loss, expected = pairwise_affinity(s_positive, t), reference(s_positive, t, (2, 2))
    (grad,) = torch.autograd.grad(loss, s)
    torch.testing.assert_close(grad, torch.autograd.grad(expected, s)[0], rtol=1e-9, atol=1e-15)


def test_a_node_of_zeros_gets_no_gradient() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float32)
    zeroed = s.detach().clone()
    zeroed[:, :, :4, :4] = 0
    zeroed.requires_grad_()
    for scale in (None, 0.125):
        (grad,) = torch.autograd.grad(pairwise_affinity(zeroed, t, scale=scale), zeroed)
        assert grad.abs().max() < 1 and not grad[:, :, :4, :4].any() and grad.any()


def test_mask_equals_cutting_the_nodes_out() -> None:
    s, t = (x[:1] for x in GOLDEN.pair("feat_s", "feat_t", torch.float64))
    s = s.detach().requires_grad_()
    mask = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0)) > 0.4
    kept = [x.movedim(1, -1)[mask].T[None, :, :, None] for x in (s, t)]
    loss = pairwise_affinity(s, t, window=1, mask=mask)
    torch.testing.assert_close(loss, pairwise_affinity(kept[0], kept[1], window=1), rtol=1e-12, atol=0)
    loss.backward()
    assert s.grad is not None and not s.grad.movedim(1, -1)[~mask].any()


@pytest.mark.parametrize("hyper", [{}, {"scale": 0.25}])
def test_mask_of_everything_and_of_nothing(hyper: dict[str, float]) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
        everything = torch.ones(2, 16, 16, dtype=torch.bool)
        whole = pairwise_affinity(s, t, **hyper)
        torch.testing.assert_close(pairwise_affinity(s, t, mask=everything, **hyper), whole, rtol=1e-6, atol=0)
        loss = pairwise_affinity(s, t, mask=~everything, **hyper)
        loss.backward()
        assert loss.item() == 0
        assert s.grad is not None and not s.grad.any()


def test_scale_on_small_maps() -> None:
    # int(3 * 0.25) would be a window of no positions.
    rng = torch.Generator().manual_seed(0)
    s, t = (torch.randn(2, 4, 3, 5, generator=rng, dtype=torch.float64) for _ in range(2))
    expected = reference(s, t, (1, 1), constant_norm=True)
    torch.testing.assert_close(pairwise_affinity(s, t, scale=0.25), expected, rtol=1e-12, atol=0)


def test_autocast_does_not_lower_the_precision() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float32)
    expected = pairwise_affinity(s, t)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(pairwise_affinity(s, t), expected, rtol=1e-7, atol=0)


def test_bad_input() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float32)
    with pytest.raises(SegkdError, match="on one grid"):
        pairwise_affinity(s, t[:, :, ::2])
    with pytest.raises(SegkdError, match="window must be a whole number of at least 1, got 0"):
        pairwise_affinity(s, t, window=0)
    with pytest.raises(SegkdError, match=r"scale must be above 0 and at most 1, got 1\.5"):
        pairwise_affinity(s, t, scale=1.5)
    with pytest.raises(SegkdError, match=r"bool of shape \(2, 16, 16\)"):
        pairwise_affinity(s, t, mask=torch.ones(2, 8, 16, dtype=torch.bool))
