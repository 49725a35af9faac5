"""Soft edge masks of every class, from the labels (BPKD)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError

PER_BYTE = 8
"""Classes per byte of a packed mask."""

BYTES_AT_ONCE = 4
"""Bytes per pixel whose bits are counted together, which bounds the memory."""


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
    second condition is the same for all classes, and the first is a bitwise OR of eight classes per byte, in steps that
    double the width of the window; the bits of a cell are then counted eight classes at a time. The usual way is two
    maximum poolings of a float image per class.

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
    if not 0 < num_classes <= 255:
        raise SegkdError(f"edges are made for 1 to 255 classes, got {num_classes}")
    if kernel_px < 1 or kernel_px % 2 == 0:
        raise SegkdError(f"kernel_px must be odd, so that the window has a middle, got {kernel_px}")
    height, width = labels.shape[1] // size[0], labels.shape[2] // size[1]
    divides = labels.shape[1:] == (height * size[0], width * size[1])
    shares = _counted if divides and height * width <= 255 else _pooled
    edges = _packed_edges(labels, num_classes, kernel_px)
    parts = [shares(part, size, dtype) for part in edges.split(BYTES_AT_ONCE, dim=3)]
    return torch.cat(parts, 1)[:, :num_classes].contiguous()


def _packed_edges(labels: Tensor, num_classes: int, kernel_px: int) -> Tensor:
    """(N, H, W, ceil(C / 8)) uint8: bit c % 8 of byte c // 8 is set on the edge of class c."""
    # Row 0 and row C + 1 are of labels that are no class.
    row = labels.long().clamp(-1, num_classes) + 1
    table = _packed_labels(num_classes).to(labels.device)
    own = table.index_select(0, row.flatten()).view(*labels.shape, -1)
    around = _window_or(own, kernel_px)
    # All labels of a window agree if their OR is their AND, which is NOT the OR of their complements.
    mixed = (around[..., :1] ^ around[..., 1:2]) != 255
    return around[..., 2:] * mixed.logical_and_(own[..., :1] < num_classes)


def _packed_labels(num_classes: int) -> Tensor:
    """(C + 2, 2 + ceil(C / 8)) uint8 for the labels -1..C: the label, its complement, and a bit for its class."""
    label = torch.arange(-1, num_classes + 1)[:, None]
    byte = torch.arange(-(-num_classes // PER_BYTE))
    has_class = (label >= 0) & (label < num_classes) & (label // PER_BYTE == byte)
    bits = has_class * 2 ** (label % PER_BYTE)
    return torch.cat([label, ~label, bits], 1).remainder(256).to(torch.uint8)


def _window_or(x: Tensor, width: int) -> Tensor:
    """OR over a square window around every pixel of (N, H, W, bytes); 0 outside the image."""
    x = F.pad(x, (0, 0, *(width // 2,) * 4))
    for dim in (1, 2):
        done = 1
        while done < width:
            step = min(done, width - done)
            length = x.shape[dim] - step
            x = x.narrow(dim, 0, length) | x.narrow(dim, step, length)
            done += step
    return x


def _counted(edges: Tensor, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """(N, 8 * bytes, h, w) for cells of one size and at most 255 pixels: each bit is counted in a byte of its own."""
    images, height, width, _ = edges.shape
    byte = torch.arange(256, device=edges.device)
    spread = sum((byte >> bit & 1) << 8 * bit for bit in range(PER_BYTE))
    lanes = torch.as_tensor(spread).index_select(0, edges.flatten().int())
    lanes = lanes.view(images, size[0], height // size[0], -1).sum(2)
    lanes = lanes.view(images, *size, width // size[1], -1).sum(3)
    # The lowest byte of a number lies first in memory.
    counts = lanes.view(torch.uint8).permute(0, 3, 1, 2).to(dtype, memory_format=torch.contiguous_format)
    return counts.div_(height // size[0] * (width // size[1]))


def _pooled(edges: Tensor, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """(N, 8 * bytes, h, w) for any grid."""
    bit = 2 ** torch.arange(PER_BYTE, device=edges.device)
    parts = []
    for byte in edges.split(1, dim=3):
        # 0 or the bit's value, exact in any float; half a byte at a time is faster than a large tensor.
        for some in bit.split(PER_BYTE // 2):
            values = (byte & some.to(torch.uint8)).movedim(3, 1).to(dtype)
            parts.append(F.adaptive_avg_pool2d(values, size) / some.view(1, -1, 1, 1))
    return torch.cat(parts, 1)
