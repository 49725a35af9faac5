from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses import intra_class_variation
from tests.distill.losses.base import BaseLossTester
from tests.golden_values import golden

GOLDEN = golden("ifvd")


class TestIntraClassVariation(BaseLossTester):
    teacher_shape = (2, 7, 4, 6)
    same_shape = False

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return intra_class_variation(s, t, self.labels(s), num_classes=3)

    def labels(self, s: Tensor) -> Tensor:
        rng = torch.Generator().manual_seed(8)
        labels = torch.randint(0, 3, (len(s), *s.shape[2:]), generator=rng)
        labels[:, 1] = 255
        labels[0, 0, 0] = 3
        return labels


class TestLabelledOnly(TestIntraClassVariation):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return intra_class_variation(s, t, self.labels(s), num_classes=3, labelled_only=True)


def reference(s: Tensor, t: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """The definition, image by image and class by class, with autograd; ``labels`` on the features' grid."""

    def similarity(f: Tensor, of_pixel: Tensor) -> Tensor:
        rows = []
        for feature, label in zip(f.flatten(2), of_pixel.flatten(1), strict=True):
            centres = feature.clone()
            for c in range(num_classes):
                inside = (label == c).to(f.dtype)
                centre = (feature * inside).sum(1) / (inside.sum() + 1e-6)
                centres = torch.where(inside.bool(), centre[:, None], centres)
            rows.append(F.cosine_similarity(feature, centres, dim=0))
        return torch.stack(rows)

    return F.mse_loss(similarity(s, labels), similarity(t, labels).detach())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", ["official", "cirkd_repo"])
def test_golden(case: str, dtype: torch.dtype) -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
    loss = intra_class_variation(s, t, GOLDEN.tensor("labels"), num_classes=7)
    GOLDEN.check(GOLDEN.case(case), loss, s)
    GOLDEN.check_grad("g", s.grad)  # of both cases: they are recorded to differ by 0


def test_by_hand() -> None:
    # One class of two pixels at a right angle: cos 45 degrees to their mean. The teacher's two agree: cos 0.
    s = torch.tensor([[[[1.0, 0.0, 5.0]], [[0.0, 1.0, -7.0]]]], dtype=torch.float64)
    t = torch.tensor([[[[2.0, 2.0, 3.0]]]], dtype=torch.float64)
    labels = torch.tensor([[[0, 0, 255]]])
    expected = (1 - math.sqrt(0.5)) ** 2
    assert intra_class_variation(s, t, labels, num_classes=1).item() == pytest.approx(expected * 2 / 3, rel=1e-5)
    only = intra_class_variation(s, t, labels, num_classes=1, labelled_only=True)
    assert only.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("classes", [1, 4, 30])
def test_agrees_with_the_definition(classes: int) -> None:
    rng = torch.Generator().manual_seed(classes)
    s, t = (torch.randn(3, c, 5, 8, generator=rng, dtype=torch.float64) for c in (70, 6))
    s.requires_grad_()
    labels = torch.randint(0, classes + 1, (3, 5, 8), generator=rng)  # the last is out of range
    loss = intra_class_variation(s, t, labels, num_classes=classes)
    expected = reference(s, t, labels, classes)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=0)
    (grad,) = torch.autograd.grad(3 * loss, s)
    torch.testing.assert_close(grad, torch.autograd.grad(3 * expected, s)[0], rtol=1e-8, atol=1e-12)


def test_labels_of_any_size_and_kind() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float64)
    labels = GOLDEN.tensor("labels")
    small = labels[:, ::4, ::4]
    expected = intra_class_variation(s, t, small, num_classes=7)
    for same in (labels, labels.to(torch.uint8), torch.where(labels == 255, -1, labels)):
        torch.testing.assert_close(intra_class_variation(s, t, same, num_classes=7), expected, rtol=0, atol=0)
    assert intra_class_variation(s, t, labels[:, :50, :37], num_classes=7).isfinite()


def test_centres_are_of_each_image() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float64)
    labels = GOLDEN.tensor("labels")
    alone = [intra_class_variation(s[i : i + 1], t[i : i + 1], labels[i : i + 1], num_classes=7) for i in range(2)]
    whole = intra_class_variation(s, t, labels, num_classes=7)
    torch.testing.assert_close(whole, (alone[0] + alone[1]) / 2, rtol=1e-12, atol=0)


@pytest.mark.parametrize("labelled_only", [False, True])
def test_no_class_anywhere_is_exactly_zero(labelled_only: bool) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
        nothing = torch.full((2, 64, 64), 255)
        loss = intra_class_variation(s, t, nothing, num_classes=7, labelled_only=labelled_only)
        loss.backward()
        assert loss.item() == 0
        assert s.grad is not None and not s.grad.any()


def test_a_pixel_of_zeros_does_not_explode() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float32)
    zeroed = s.detach().clone()
    zeroed[:, :, 4:8, 4:8] = 0
    zeroed.requires_grad_()
    (grad,) = torch.autograd.grad(intra_class_variation(zeroed, t, GOLDEN.tensor("labels"), num_classes=7), zeroed)
    assert 0 < grad.abs().max() < 1


def test_autocast_does_not_lower_the_precision() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float32)
    labels = GOLDEN.tensor("labels")
    expected = intra_class_variation(s, t, labels, num_classes=7)
    with torch.autocast("cpu", torch.bfloat16):
        actual = intra_class_variation(s, t, labels, num_classes=7)
    torch.testing.assert_close(actual, expected, rtol=1e-7, atol=0)


def test_bad_input() -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", torch.float32)
    labels = GOLDEN.tensor("labels")
    with pytest.raises(SegkdError, match="on one grid"):
        intra_class_variation(s, t[:, :, :8], labels, num_classes=7)
    for wrong in (labels[:1], labels[:, None], labels.float()):
        with pytest.raises(SegkdError, match=r"2 maps \(N, H, W\) of integers"):
            intra_class_variation(s, t, wrong, num_classes=7)
