from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd_distill.inference import logit_map
from segkd_distill.inference.sliding_window import SlidingMap, window_corners


def upsample(logits: Tensor, size: object) -> Tensor:
    return F.interpolate(logits, size=tuple(size), mode="bilinear")  # type: ignore[arg-type]


def network(images: Tensor) -> Tensor:
    """Five classes at half the size; what it says depends on the whole crop."""
    pooled = F.avg_pool2d(images, 2, ceil_mode=True)
    return torch.cat([pooled, pooled[:, :2] ** 2 - images.mean((2, 3), keepdim=True)[:, :2]], 1)


def original(images: Tensor, crop: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """The rule of mmsegmentation's ``slide_inference``, with everything in memory."""
    height, width = images.shape[-2:]
    rows = max(height - crop[0] + stride[0] - 1, 0) // stride[0] + 1
    columns = max(width - crop[1] + stride[1] - 1, 0) // stride[1] + 1
    total, count = torch.zeros(images.shape[0], 5, height, width), torch.zeros(1, 1, height, width)
    for row in range(rows):
        for column in range(columns):
            bottom, right = min(row * stride[0] + crop[0], height), min(column * stride[1] + crop[1], width)
            top, left = max(bottom - crop[0], 0), max(right - crop[1], 0)
            part = images[..., top:bottom, left:right]
            total[..., top:bottom, left:right] += upsample(network(part), part.shape[-2:])
            count[..., top:bottom, left:right] += 1
    assert (count > 0).all()
    return total / count


@pytest.mark.parametrize(
    ("size", "crop", "stride"),
    [
        ((20, 31), (8, 12), (5, 8)),
        ((20, 31), (8, 12), (8, 12)),
        ((16, 24), (8, 12), (4, 12)),
        ((6, 31), (8, 12), (5, 8)),
        ((6, 7), (8, 12), (5, 8)),
    ],
)
def test_agrees_with_the_original(
    size: tuple[int, int], crop: tuple[int, int], stride: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logit_map, "VALUES_AT_ONCE", 2 * size[0] * size[1] * 2)
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    found = SlidingMap(images, network, crop=crop, stride=stride, size=size, upsample=upsample)
    parts = torch.cat([found.classes(*part) for part in found.ranges()], 1)
    torch.testing.assert_close(parts, original(images, crop, stride))


def test_the_mean_is_upsampled_to_the_labels_size_and_mirrored_last() -> None:
    images = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    settings = {"crop": (8, 8), "stride": (4, 4), "size": (24, 30), "upsample": upsample}
    found = SlidingMap(images, network, **settings).classes(0, 5)  # type: ignore[arg-type]
    torch.testing.assert_close(found, upsample(original(images, (8, 8), (4, 4)), (24, 30)))
    mirrored = SlidingMap(images, network, flipped=True, **settings).classes(0, 5)  # type: ignore[arg-type]
    assert torch.equal(mirrored, found.flip(-1))


def test_corners_by_hand() -> None:
    # mmsegmentation's 769 crops of Cityscapes: 2 x 4 windows.
    corners = window_corners((1024, 2048), (769, 769), (513, 513))
    assert corners == [(top, left) for top in (0, 255) for left in (0, 513, 1026, 1279)]
    assert window_corners((5, 5), (8, 8), (3, 3)) == [(0, 0)]
