"""Soft edge masks of every class, from the labels (BPKD)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError

NO_CLASS = 255
"""Stands for every label that is no class."""

CLASSES_PER_BYTE = 8

CLASSES_AT_ONCE = 4
"""Classes that are unpacked together: few enough for the memory of one pass to be reused in the next."""


def class_edges(
    labels: Tensor, num_classes: int, *, kernel_px: int = 7, size: tuple[int, int], dtype: torch.dtype = torch.float32
) -> Tensor:
    """The share of edge pixels of each class in each cell of a grid.

    A pixel is on the edge of class c if the square window of ``kernel_px`` around it holds pixels of class c and
    others: dilation minus erosion of the class's mask. What lies outside the image counts as neither, so the border of
    the image is no edge. A pixel without a class is on no edge itself, but is one of the "others" to its neighbours.
    The shares are means over the bins of adaptive average pooling; these are the usual ones where the grid divides the
    image.

    Dilation minus erosion of class c is 1 where the window holds class c and is not of one label throughout. The
    second condition is the same for all classes, and the first is the bitwise OR of eight classes per byte, in steps
    that double the width of the window. The original makes two maximum poolings of a float image per class.

    Source: Liu et al., "BPKD: Boundary Privileged Knowledge Distillation for Semantic Segmentation", WACV 2024.

    Confirmed by the official figure 3 and supplement: one-hot, dilation minus erosion, average pooling to the grid of
    the logits. From unofficial implementations, which agree: 7 px, and ignored pixels are no edges. Ours: labels out of
    range count as ignored, and the bins of a grid that does not divide the image.

    Args:
        labels: (N, H, W) int at image size; all but 0..num_classes - 1 is "no class".
        num_classes: C <= 255.
        kernel_px: width of the window in pixels, odd; an edge is ``kernel_px - 1`` pixels wide.
        size: (h, w) of the grid.
        dtype: of the result.

    Returns:
        (N, C, h, w) in 0..1, no gradient.

    Raises:
        SegkdError: for labels that are not (N, H, W) int, more than 255 classes or a width that is not odd.
    """
    if labels.dim() != 3 or labels.is_floating_point():
        raise SegkdError(f"labels must be (N, H, W) int, got {labels.dtype} of {tuple(labels.shape)}")
    if not 0 < num_classes <= NO_CLASS:
        raise SegkdError(f"edges are made for 1 to 255 classes, got {num_classes}")
    if kernel_px < 1 or kernel_px % 2 == 0:
        raise SegkdError(f"kernel_px must be odd, so that the window has a middle, got {kernel_px}")
    edges = _packed_edges(labels, num_classes, kernel_px)
    bits = torch.arange(CLASSES_PER_BYTE, device=labels.device)
    bits = torch.bitwise_left_shift(torch.ones_like(bits), bits).to(torch.uint8)
    shares = []
    for group in edges.split(1, dim=1):
        for some in bits.split(CLASSES_AT_ONCE):
            # 0 or the value of the bit; exact in any float.
            values = (group & some.view(1, -1, 1, 1)).to(dtype)
            shares.append(F.adaptive_avg_pool2d(values, size) / some.view(1, -1, 1, 1))
    return torch.cat(shares, 1)[:, :num_classes]


def _packed_edges(labels: Tensor, num_classes: int, kernel_px: int) -> Tensor:
    """(N, ceil(C / 8), H, W) uint8: bit c % 8 of byte c // 8 is set on the edge of class c."""
    inside = (labels >= 0) & (labels < num_classes)
    label = torch.where(inside, labels, NO_CLASS).to(torch.uint8)[:, None]
    bit = torch.bitwise_left_shift(inside[:, None].to(torch.uint8), label % CLASSES_PER_BYTE)
    byte = torch.arange(-(-num_classes // CLASSES_PER_BYTE), device=labels.device).view(1, -1, 1, 1)
    classes = bit * (label // CLASSES_PER_BYTE == byte)
    around = _window_or(torch.cat([label, ~label, classes], 1), kernel_px)
    # All labels of a window agree if their OR is their AND, and x AND y is NOT (NOT x OR NOT y).
    mixed = around[:, :1] != ~around[:, 1:2]
    return around[:, 2:] * (mixed & inside[:, None])


def _window_or(x: Tensor, width: int) -> Tensor:
    """OR over a square window around every pixel; 0 outside the image."""
    x = F.pad(x, (width // 2,) * 4)
    for dim in (2, 3):
        done = 1
        while done < width:
            step = min(done, width - done)
            length = x.shape[dim] - step
            x = x.narrow(dim, 0, length) | x.narrow(dim, step, length)
            done += step
    return x
