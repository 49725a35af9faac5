from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segkd_distill.inference import logit_map
from segkd_distill.inference.logit_map import UpsampledMap, most_likely, upsampling
from segkd_distill.models.zoo import build_model


def upsample(logits: torch.Tensor, size: object) -> torch.Tensor:
    return F.interpolate(logits, size=tuple(size), mode="bilinear")  # type: ignore[arg-type]


def random_logits(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 10, 5, 6, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("at_once", [1, 2 * 11 * 13 * 3, 1 << 26])
def test_argmax_in_parts_equals_argmax_of_all(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logit_map, "VALUES_AT_ONCE", at_once)
    logits = random_logits()
    logits[:, 7] = logits[:, 2]  # equal classes, in two parts where they are small: the first wins
    labels = most_likely(UpsampledMap(logits, (11, 13), upsample))
    assert labels.dtype == torch.uint8
    np.testing.assert_array_equal(labels.numpy(), upsample(logits, (11, 13)).numpy().argmax(1))


def test_few_classes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logit_map, "VALUES_AT_ONCE", 2 * 11 * 13 * 4)
    logits = UpsampledMap(random_logits(), (11, 13), upsample)
    assert logits.ranges() == [(0, 4), (4, 8), (8, 10)]
    assert logits.classes(8, 10).shape == (2, 2, 11, 13)


def test_mirrored_maps_are_mirrored_back() -> None:
    logits = random_logits()
    plain = most_likely(UpsampledMap(logits, (9, 9), upsample))
    assert torch.equal(most_likely(UpsampledMap(logits, (9, 9), upsample, flipped=True)), plain.flip(-1))


def test_align_corners_may_be_forced() -> None:
    torch.manual_seed(0)
    model, logits = build_model("quickstart-mv2", 3), random_logits()
    assert not model.align_corners
    for wanted, expected in ((None, False), (False, False), (True, True)):
        found = upsampling(model, wanted)(logits, (11, 13))
        assert torch.equal(found, F.interpolate(logits, size=(11, 13), mode="bilinear", align_corners=expected))


def test_more_classes_than_127() -> None:
    logits = torch.zeros(1, 200, 1, 1)
    logits[0, 199] = 1
    assert most_likely(UpsampledMap(logits, (2, 2), upsample)).unique().tolist() == [199]
