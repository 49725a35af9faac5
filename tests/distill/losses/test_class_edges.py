from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses import class_edges
from tests.golden_values import golden

GOLDEN = golden("bpkd_thirdparty")


def dilation_minus_erosion(labels: Tensor, classes: int, kernel_px: int) -> Tensor:
    """The definition, on one float image per class: (N, C, H, W)."""
    valid = ((labels >= 0) & (labels < classes))[:, None]
    one_hot = F.one_hot(labels.clamp(0, classes - 1), classes).movedim(3, 1).double() * valid
    dilation, kept = (F.max_pool2d(x, kernel_px, 1, kernel_px // 2) for x in (one_hot, 1 - one_hot))
    return (dilation - (1 - kept)) * valid


def blocks(classes: int, height: int = 25, width: int = 41) -> Tensor:
    """Blocks of 8 px with labels from -1 to one more than there are classes, and a few single pixels."""
    rng = torch.Generator().manual_seed(classes)
    made = torch.randint(-1, classes + 2, (2, 4, 6), generator=rng).repeat_interleave(8, 1).repeat_interleave(8, 2)
    single = torch.rand(made.shape, generator=rng)
    made[single < 0.02] = 255 if classes < 255 else -1
    made[single > 0.99] = 0
    return made[:, :height, :width].contiguous()


def test_golden() -> None:
    labels = GOLDEN.tensor("labels")
    valid = F.avg_pool2d((labels != 255)[:, None].float(), 2)
    torch.testing.assert_close(valid, torch.from_numpy(GOLDEN.arrays["valid_mask"]), rtol=0, atol=0)
    # The third party multiplies by the share of valid pixels once more.
    edges = class_edges(labels, 7, kernel_px=GOLDEN.meta["hyper"]["edge_width"], size=(32, 32)) * valid
    torch.testing.assert_close(edges, torch.from_numpy(GOLDEN.arrays["edge_mask"]), rtol=0, atol=0)


@pytest.mark.parametrize("classes", [1, 7, 8, 9, 40, 254, 255])
@pytest.mark.parametrize("kernel_px", [1, 3, 7, 9])
def test_equals_the_definition(classes: int, kernel_px: int) -> None:
    labels = blocks(classes)
    expected = dilation_minus_erosion(labels, classes, kernel_px)
    assert kernel_px == 1 or expected.any()
    edges = class_edges(labels, classes, kernel_px=kernel_px, size=(25, 41))
    assert edges.is_contiguous()
    torch.testing.assert_close(edges, expected.float(), rtol=0, atol=0)


@pytest.mark.parametrize("size", [(4, 5), (12, 20), (3, 7), (1, 1), (30, 50), (24, 40)])
def test_grids(size: tuple[int, int]) -> None:
    # (4, 5), (12, 20) and (24, 40) divide the image into equal cells; (1, 1) too, with too many pixels for a byte.
    labels = blocks(19, 24, 40)
    expected = F.adaptive_avg_pool2d(dilation_minus_erosion(labels, 19, 7), size)
    edges = class_edges(labels, 19, size=size, dtype=torch.float64)
    assert edges.dtype == torch.float64
    torch.testing.assert_close(edges, expected, rtol=1e-12, atol=1e-15)


def test_every_pixel_of_the_largest_countable_cell() -> None:
    labels = (torch.arange(255) % 2).expand(1, 1, 255)
    assert torch.equal(class_edges(labels, 2, kernel_px=3, size=(1, 1)), torch.ones(1, 2, 1, 1))


def test_by_hand() -> None:
    # One row: class 0 three times, class 1 twice, ignored once, class 2 twice.
    labels = torch.tensor([[[0, 0, 0, 1, 1, 255, 2, 2]]])
    edges = class_edges(labels, 3, kernel_px=3, size=(1, 8))[0, :, 0]
    assert edges.tolist() == [
        [0, 0, 1, 1, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 0, 0, 0],
        # Towards the ignored pixel there is an edge, at the border of the image there is none.
        [0, 0, 0, 0, 0, 0, 1, 0],
    ]
    assert class_edges(labels, 3, kernel_px=3, size=(1, 2))[0, :, 0].tolist() == [
        [0.5, 0],
        [0.5, 0.25],
        [0, 0.25],
    ]


def test_dtypes_of_labels() -> None:
    labels = GOLDEN.tensor("labels")
    expected = class_edges(labels, 7, size=(32, 32))
    for dtype in (torch.uint8, torch.int32):
        assert torch.equal(class_edges(labels.to(dtype), 7, size=(32, 32)), expected)


def test_no_edges() -> None:
    for value in (3, 255, -1):
        assert not class_edges(torch.full((2, 16, 16), value), 7, size=(4, 4)).any()


@pytest.mark.parametrize(
    ("labels", "classes", "kernel_px", "message"),
    [
        (torch.zeros(1, 1, 8, 8, dtype=torch.long), 7, 7, r"labels must be \(N, H, W\) int, got torch.int64 of"),
        (torch.zeros(1, 8, 8), 7, 7, "labels must be .* int, got torch.float32"),
        (torch.zeros(1, 8, 8, dtype=torch.long), 256, 7, "1 to 255 classes, got 256"),
        (torch.zeros(1, 8, 8, dtype=torch.long), 0, 7, "1 to 255 classes, got 0"),
        (torch.zeros(1, 8, 8, dtype=torch.long), 7, 4, "kernel_px must be odd.*got 4"),
        (torch.zeros(1, 8, 8, dtype=torch.long), 7, -1, "kernel_px must be odd.*got -1"),
    ],
)
def test_bad_input(labels: Tensor, classes: int, kernel_px: int, message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        class_edges(labels, classes, kernel_px=kernel_px, size=(4, 4))
