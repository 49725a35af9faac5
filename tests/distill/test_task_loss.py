from __future__ import annotations

import math

import pytest
import torch

from segkd_distill.models.zoo import build_model
from segkd_distill.task_loss import labelled_cross_entropy
from tests.golden_values import golden

GOLDEN = golden("extras")


def test_by_hand_over_labelled_pixels_only() -> None:
    """Two classes, logits (0, ln 3): probabilities 1/4 and 3/4; the third pixel has no class."""
    logits = torch.tensor([0.0, math.log(3)]).view(1, 2, 1, 1).expand(1, 2, 1, 3)
    labels = torch.tensor([[[0, 1, 255]]])
    assert labelled_cross_entropy(logits, labels).item() == pytest.approx((math.log(4) + math.log(4 / 3)) / 2)


def test_equals_torch_on_nchw() -> None:
    logits = torch.randn(2, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 5, (2, 4, 6), generator=torch.Generator().manual_seed(1))
    labels[0, :2] = 255
    expected = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(labelled_cross_entropy(logits, labels), expected)


def test_nothing_labelled_is_zero_with_zero_gradient() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = labelled_cross_entropy(logits, torch.full((1, 2, 2), 255))
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None and (logits.grad == 0).all()


def test_ignored_pixels_change_nothing() -> None:
    logits = torch.randn(1, 3, 2, 2)
    labels = torch.tensor([[[0, 255], [2, 255]]])
    changed = logits.clone()
    changed[..., 1] = 1e4
    assert torch.equal(labelled_cross_entropy(logits, labels), labelled_cross_entropy(changed, labels))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_give_float32(dtype: torch.dtype) -> None:
    logits = 200 * torch.randn(1, 3, 4, 4)
    loss = labelled_cross_entropy(logits.to(dtype), torch.zeros(1, 4, 4, dtype=torch.long))
    assert loss.dtype == torch.float32 and torch.isfinite(loss)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_golden_through_the_upsampling_of_the_network(dtype: torch.dtype) -> None:
    """CIRKD aligns the corners, so the network is told to."""
    with torch.device("meta"):
        network = build_model("pspnet-r18", 7)
    network.align_corners = True
    s, _ = GOLDEN.pair("logits_s", "logits_t", dtype)
    labels = GOLDEN.tensor("labels")
    loss = labelled_cross_entropy(network.upsample(s, labels.shape[-2:]), labels)
    GOLDEN.check(GOLDEN.case("task_CE_align_corners_true"), loss, s)


def test_gradient() -> None:
    logits = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[[0, 255], [2, 1]], [[255, 2], [1, 0]]])
    assert torch.autograd.gradcheck(lambda x: 3 * labelled_cross_entropy(x, labels), (logits,))


def test_gradient_equals_torch() -> None:
    logits = torch.randn(2, 19, 6, 8, requires_grad=True)
    labels = torch.randint(0, 19, (2, 6, 8))
    labels[1, 2:4] = 255
    (ours,) = torch.autograd.grad(labelled_cross_entropy(logits, labels), logits)
    (theirs,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels, ignore_index=255), logits)
    torch.testing.assert_close(ours, theirs)
