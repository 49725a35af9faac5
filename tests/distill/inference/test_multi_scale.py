from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from segkd_distill.inference import logit_map
from segkd_distill.inference.logit_map import UpsampledMap
from segkd_distill.inference.multi_scale import average_logits, average_probabilities, scaled_size


def upsample(logits: torch.Tensor, size: object) -> torch.Tensor:
    return F.interpolate(logits, size=tuple(size), mode="bilinear")  # type: ignore[arg-type]


def looks() -> tuple[list[UpsampledMap], torch.Tensor]:
    """Four maps, two of them mirrored, and the same upsampled in full."""
    generator = torch.Generator().manual_seed(0)
    maps, full = [], []
    for size in ((4, 5), (6, 8)):
        for flipped in (False, True):
            logits = 3 * torch.randn(2, 7, *size, generator=generator)
            maps.append(UpsampledMap(logits, (12, 15), upsample, flipped=flipped))
            full.append(upsample(logits, (12, 15)).flip(-1) if flipped else upsample(logits, (12, 15)))
    return maps, torch.stack(full)


@pytest.mark.parametrize("at_once", [1, 2 * 12 * 15 * 3, 1 << 26])
def test_averages_in_parts_equal_averages_of_all(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logit_map, "VALUES_AT_ONCE", at_once)
    maps, full = looks()
    by_probability = full.double().softmax(2).mean(0).argmax(1)
    by_logit = full.double().mean(0).argmax(1)
    assert torch.equal(average_probabilities(maps).long(), by_probability)
    assert torch.equal(average_logits(maps).long(), by_logit)
    assert not torch.equal(by_probability, by_logit)


def test_sure_looks_weigh_no_more_than_others() -> None:
    sure = UpsampledMap(torch.tensor([90.0, 0.0]).view(1, 2, 1, 1), (1, 1), upsample)
    unsure = UpsampledMap(torch.tensor([0.0, 3.0]).view(1, 2, 1, 1), (1, 1), upsample)
    assert average_probabilities([sure, unsure, unsure]).item() == 1
    assert average_logits([sure, unsure, unsure]).item() == 0


@pytest.mark.parametrize(
    ("size", "scale", "test_scale", "expected"),
    [
        ((100, 201), 1.0, None, (100, 201)),
        ((100, 201), 1.25, None, (125, 251)),
        # ADE20K: the short side becomes 512, unless the long one passed 2048.
        ((256, 341), 1.0, (512, 2048), (512, 682)),
        ((300, 1500), 1.0, (512, 2048), (410, 2048)),
        ((256, 341), 0.5, (512, 2048), (256, 341)),
        # Pascal Context: 520 is the limit of the long side.
        ((375, 500), 1.0, (520, 520), (390, 520)),
        ((500, 375), 1.0, (520, 520), (520, 390)),
    ],
)
def test_sizes(
    size: tuple[int, int], scale: float, test_scale: tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    assert scaled_size(size, scale, test_scale) == expected
