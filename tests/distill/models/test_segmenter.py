from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segkd_distill.models.backbones.base import Backbone, Features
from segkd_distill.models.heads.psp import PSPHead
from segkd_distill.models.segmenter import IMAGENET_MEAN, IMAGENET_STD, Segmenter


class Recorder(Backbone):
    """Gives its input back as every stage."""

    widths = (3, 3, 3, 3)
    strides = (1, 1, 1, 1)

    def forward(self, image: Tensor) -> Features:
        return Features(image, image, image, image, image)


def recorder(**options: object) -> Segmenter:
    backbone = Recorder()
    return Segmenter(backbone, PSPHead(backbone, 2, channels=2), **options).eval()  # type: ignore[arg-type]


def colour(rgb: tuple[float, ...]) -> Tensor:
    return torch.tensor(rgb).view(1, 3, 1, 1).expand(1, 3, 6, 6)


def test_normalises_inside() -> None:
    model = recorder()
    assert float(model(colour(IMAGENET_MEAN), frozenset({"c1"})).taps["c1"].abs().max()) == 0.0
    one = tuple(m + s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))
    torch.testing.assert_close(model(colour(one), frozenset({"c1"})).taps["c1"], torch.ones(1, 3, 6, 6))
    shifted = recorder(mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 4.0))(colour((11, 22, 34)).byte(), frozenset({"c1"}))
    assert torch.equal(shifted.taps["c1"], torch.ones(1, 3, 6, 6))


@pytest.mark.parametrize(
    ("align_corners", "expected"), [(False, [0.0, 0.25, 0.75, 1.0]), (True, [0.0, 1 / 3, 2 / 3, 1.0])]
)
def test_upsample_by_hand(align_corners: bool, expected: list[float]) -> None:
    logits = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    found = recorder(align_corners=align_corners).upsample(logits, (1, 4))
    torch.testing.assert_close(found.flatten(), torch.tensor(expected))


def test_upsample_to_the_same_size_changes_nothing() -> None:
    logits = torch.randn(1, 2, 3, 4)
    assert recorder().upsample(logits, (3, 4)) is logits


def test_normalisation_follows_the_weights_type() -> None:
    model = recorder().double()
    assert model(colour(IMAGENET_MEAN).to(torch.uint8)).logits.dtype == torch.float64


def test_constants_are_buffers_outside_the_state() -> None:
    model = recorder()
    assert model.mean.flatten().tolist() == pytest.approx(IMAGENET_MEAN)
    assert model.std.flatten().tolist() == pytest.approx(IMAGENET_STD)
    assert {name for name, _ in model.named_buffers()} >= {"mean", "std"}
    assert {"mean", "std"}.isdisjoint(model.state_dict())
