from __future__ import annotations

import math

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.models.zoo import build_model
from segkd_distill.task_loss import Ohem, build_task_loss, hard_cross_entropy, labelled_cross_entropy
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


def rows_by_hand(*probabilities: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (1, 2, 1, n) of two classes, the label's probability in each pixel as given; labels all 0."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([p, 1 - p]).log().view(1, 2, 1, -1), torch.zeros(1, 1, len(p), dtype=torch.long)


def mean_nll(*probabilities: float) -> float:
    return -sum(map(math.log, probabilities)) / len(probabilities)


def test_class_weights_by_hand() -> None:
    """Weights 1 and 3: the pixel of class 1 counts three times."""
    logits = torch.tensor([0.0, math.log(3)]).view(1, 2, 1, 1).expand(1, 2, 1, 3)
    labels = torch.tensor([[[0, 1, 255]]])
    loss = labelled_cross_entropy(logits, labels, class_weights=torch.tensor([1.0, 3.0]))
    assert loss.item() == pytest.approx((math.log(4) + 3 * math.log(4 / 3)) / 4)


def test_class_weights_equal_torch_with_their_gradient() -> None:
    logits = torch.randn(2, 5, 4, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.randint(0, 5, (2, 4, 6), generator=torch.Generator().manual_seed(1))
    labels[0, :2] = 255
    weights = torch.tensor([0.5, 2.0, 0.0, 1.0, 3.0])
    ours = labelled_cross_entropy(logits, labels, class_weights=weights)
    theirs = torch.nn.functional.cross_entropy(logits, labels, weights, ignore_index=255)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits))


def test_pixels_of_weight_zero_alone_give_zero() -> None:
    logits = torch.randn(1, 2, 2, 2, requires_grad=True)
    loss = labelled_cross_entropy(logits, torch.zeros(1, 2, 2).long(), class_weights=torch.tensor([0.0, 1.0]))
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None and (logits.grad == 0).all()


def test_hard_pixels_are_those_below_the_threshold() -> None:
    logits, labels = rows_by_hand(0.9, 0.6, 0.5, 0.95, 0.2)
    labels[0, 0, 4] = 255
    loss = hard_cross_entropy(logits, labels, Ohem(min_kept=1))
    assert loss.item() == pytest.approx(mean_nll(0.6, 0.5))
    everywhere = hard_cross_entropy(logits, labels, Ohem(min_kept=1, average="all"))
    assert everywhere.item() == pytest.approx(mean_nll(0.6, 0.5) * 2 / 5)


def test_at_least_min_kept_pixels_count() -> None:
    logits, labels = rows_by_hand(0.9, 0.6, 0.8, 0.95, 0.99)
    assert hard_cross_entropy(logits, labels, Ohem(min_kept=3)).item() == pytest.approx(mean_nll(0.6, 0.8, 0.9))
    assert hard_cross_entropy(logits, labels, Ohem(min_kept=1)).item() == pytest.approx(mean_nll(0.6))
    for enough in (5, 6, 100_000):
        every = hard_cross_entropy(logits, labels, Ohem(min_kept=enough))
        torch.testing.assert_close(every, labelled_cross_entropy(logits, labels))


def test_min_kept_counts_per_image_or_per_batch() -> None:
    """The pixels of the batch compete with each other either way."""
    one, labels = rows_by_hand(0.9, 0.8)
    two, _ = rows_by_hand(0.95, 0.99)
    batch, both = torch.cat([one, two]), torch.cat([labels, labels])
    assert hard_cross_entropy(batch, both, Ohem(min_kept=1)).item() == pytest.approx(mean_nll(0.8, 0.9))
    alone = hard_cross_entropy(batch, both, Ohem(min_kept=1, min_kept_per="batch"))
    assert alone.item() == pytest.approx(mean_nll(0.8))


@pytest.mark.parametrize("average", ["hard", "all"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("min_kept", [1, 60])
def test_ohem_as_the_originals_compute_it(average: str, weighted: bool, min_kept: int) -> None:
    """HRNet's formula (sort, threshold, mean of the hard) and mmseg's (0/1 weights, mean of all), written anew."""
    generator = torch.Generator().manual_seed(4)
    logits = (3 * torch.randn(2, 5, 8, 9, generator=generator, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(0, 5, (2, 8, 9), generator=generator)
    labels[1, 3:5] = 255
    weights = torch.tensor([0.5, 2, 1, 1.5, 3], dtype=torch.float64) if weighted else None
    probability = logits.detach().softmax(1).gather(1, torch.where(labels == 255, 0, labels)[:, None])[:, 0]
    ranked = probability[labels != 255].sort().values
    bound = max(ranked[min_kept * 2].item(), 0.7)
    hard = (labels != 255) & (probability < bound)
    pixels = torch.nn.functional.cross_entropy(logits, labels, weights, ignore_index=255, reduction="none")
    expected = pixels[hard].mean() if average == "hard" else (pixels * hard).mean()
    ours = hard_cross_entropy(logits, labels, Ohem(min_kept=min_kept, average=average), class_weights=weights)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(torch.autograd.grad(ours, logits), torch.autograd.grad(expected, logits))


def test_ohem_without_a_labelled_pixel_is_zero() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    for ohem in (Ohem(), Ohem(min_kept=1), Ohem(average="all")):
        loss = hard_cross_entropy(logits, torch.full((1, 2, 2), 255), ohem)
        loss.backward()
        assert loss.item() == 0 and logits.grad is not None and (logits.grad == 0).all()
    empty = hard_cross_entropy(torch.zeros(0, 3, 2, 2), torch.zeros(0, 2, 2).long(), Ohem())
    assert empty.item() == 0


def test_half_precision_hard_pixels_give_float32() -> None:
    logits = (200 * torch.randn(1, 3, 4, 4)).to(torch.bfloat16)
    loss = hard_cross_entropy(logits, torch.zeros(1, 4, 4).long(), Ohem(min_kept=2))
    assert loss.dtype == torch.float32 and torch.isfinite(loss)


def test_the_auxiliary_head_counts_every_pixel() -> None:
    logits, labels = rows_by_hand(0.9, 0.6, 0.5)
    loss = build_task_loss({"ohem": {"min_kept": 1}}, [1.0, 2.0])
    assert loss.name == "ohem" and loss.state_dict() == {}
    assert loss(logits, labels, ignore_index=255).item() == pytest.approx(mean_nll(0.6, 0.5))
    assert loss(logits, labels, ignore_index=255, auxiliary=True).item() == pytest.approx(mean_nll(0.9, 0.6, 0.5))


def test_names_and_options() -> None:
    assert build_task_loss("ce", None).name == "ce" and build_task_loss({"ce": {}}, None).ohem is None
    assert build_task_loss("ohem", None).ohem == Ohem(0.7, 100_000, "image", "hard")
    assert build_task_loss({"ohem": {"threshold": 0.9, "min_kept": 131072}}, None).ohem == Ohem(0.9, 131072)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("ohm", "unknown loss 'ohm'; did you mean 'ohem'"),
        ({"ce": {"threshold": 0.7}}, "ce has no options, got threshold"),
        ({"ohem": {"treshold": 0.7}}, "unknown option of ohem 'treshold'; did you mean 'threshold'"),
        ({"ohem": {"threshold": 1.5}}, "threshold must be a probability, 0 to 1, got 1.5"),
        ({"ohem": {"min_kept": 0}}, "min_kept must be a whole number above 0, got 0"),
        ({"ohem": {"min_kept": 1.5}}, "min_kept must be a whole number"),
        ({"ohem": {"average": "mean"}}, "average must be hard or all, got 'mean'"),
        ({"ohem": {"min_kept_per": "epoch"}}, "min_kept_per must be image or batch"),
    ],
)
def test_bad_losses_are_named(loss: str | dict[str, dict[str, object]], message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        build_task_loss(loss, None)
