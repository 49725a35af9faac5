from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.losses import category_similarity
from tests.distill.losses.base import BaseLossTester
from tests.golden_values import golden

GOLDEN = golden("extras")


class TestCategorySimilarity(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return category_similarity(s, t)


class TestMaskedUnpooled(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0
        return category_similarity(s, t, temperature=1.0, pool=1, mask=mask)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_golden(dtype: torch.dtype) -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", dtype)
    loss = category_similarity(s, t)
    GOLDEN.check_loss(GOLDEN.case("DSD_CSD_logits"), loss)
    # check_grad's absolute tolerance, 1e-8, is a thousand times this gradient.
    (grad,) = torch.autograd.grad(loss, s)
    expected = torch.from_numpy(GOLDEN.arrays["g_csd"]).to(dtype)
    torch.testing.assert_close(grad, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


def test_by_hand() -> None:
    # Two classes over two positions: student (1/2, 1/2) and (1/4, 3/4), teacher twice (1/2, 1/2).
    s = torch.tensor([[[[0.0, 0.0]], [[0.0, math.log(3)]]]], dtype=torch.float64)
    t = torch.zeros_like(s)
    # Products: student [[1/2, 1/2], [1/2, 5/8]], teacher 1/2 everywhere.
    assert category_similarity(s, t, temperature=1.0, pool=1).item() == pytest.approx(0.125**2 / 4, rel=1e-12)
    # One window holds all: one position, so that both are 1.
    assert category_similarity(s, t, temperature=1.0, pool=2).item() == 0


def test_pooling_is_the_mean_of_each_window() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float64)
    pooled = [x[:, :, :5, :6] for x in (s, t)]
    windows = []
    for x in pooled:
        rows = [x[:, :, i : i + 2, j : j + 2].mean((2, 3)) for i in (0, 2, 4) for j in (0, 2, 4)]
        windows.append(torch.stack(rows, 2)[..., None])
    expected = category_similarity(windows[0], windows[1], pool=1)
    torch.testing.assert_close(category_similarity(pooled[0], pooled[1]), expected, rtol=1e-12, atol=0)


def test_mask_equals_cutting_the_positions_out() -> None:
    s, t = (x[:1] for x in GOLDEN.pair("logits_s", "logits_t", torch.float64))
    s = s.detach().requires_grad_()
    mask = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0)) > 0.4
    kept = [x.movedim(1, -1)[mask].T[None, :, :, None] for x in (s, t)]
    loss = category_similarity(s, t, pool=1, mask=mask)
    torch.testing.assert_close(loss, category_similarity(kept[0], kept[1], pool=1), rtol=1e-12, atol=0)
    everything = torch.ones_like(mask)
    torch.testing.assert_close(category_similarity(s, t, mask=everything), category_similarity(s, t), rtol=1e-9, atol=0)
    (grad,) = torch.autograd.grad(category_similarity(s, t, mask=mask), s)
    assert grad.any() and not grad.movedim(1, -1)[~mask].any()


def test_images_without_a_valid_pixel_do_not_count() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float64)
    mask = torch.ones(2, 32, 32, dtype=torch.bool)
    mask[1] = False
    first = category_similarity(s[:1], t[:1])
    torch.testing.assert_close(category_similarity(s, t, mask=mask), first, rtol=1e-9, atol=0)
    mask[0] = False
    loss = category_similarity(s, t, mask=mask)
    (grad,) = torch.autograd.grad(loss, s)
    assert loss.item() == 0 and not grad.any()


def test_autocast_does_not_lower_the_precision() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss = category_similarity(s, t)
    assert loss.item() == category_similarity(s, t).item()


@pytest.mark.parametrize(
    ("hyper", "message"),
    [({"temperature": 0.0}, "a temperature above 0 is needed, got 0.0"), ({"pool": 0}, "at least 1 position")],
)
def test_bad_hyper_parameters(hyper: dict[str, float], message: str) -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float32)
    with pytest.raises(SegkdError, match=message):
        category_similarity(s, t, **hyper)  # type: ignore[arg-type]


def test_mask_of_another_shape() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float32)
    with pytest.raises(SegkdError, match="the mask must be bool of shape"):
        category_similarity(s, t, mask=torch.ones(2, 16, 16, dtype=torch.bool))
