"""Adaptive average pooling, and the same as two constant matrix products."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class AdaptiveAvgPool(nn.Module):
    """Average pooling to a fixed number of cells, as ``torch.nn.AdaptiveAvgPool2d``.

    A class of its own, so that export finds every instance and replaces it by :func:`pooling_matrices`:
    exporters unroll uneven windows into hundreds of slices.

    Args:
        cells: rows and columns of the output.
    """

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, cells, cells)."""
        return F.adaptive_avg_pool2d(x, self.cells)


def pooling_matrix(length: int, cells: int) -> Tensor:
    """The weights of adaptive average pooling along one axis.

    Cell ``i`` is the mean of the positions from ``floor(i * length / cells)`` up to and without
    ``ceil((i + 1) * length / cells)``, torch's rule; windows overlap where ``cells`` does not divide ``length``.

    Returns:
        (cells, length) float32; every row sums to 1.
    """
    matrix = torch.zeros(cells, length)
    for cell in range(cells):
        start, stop = cell * length // cells, -(-(cell + 1) * length // cells)
        matrix[cell, start:stop] = 1 / (stop - start)
    return matrix


def pooling_matrices(height: int, width: int, cells: int) -> tuple[Tensor, Tensor]:
    """Matrices with ``rows @ x @ columns == F.adaptive_avg_pool2d(x, cells)`` for x (N, C, height, width).

    Returns:
        rows (cells, height) and columns (width, cells), float32.
    """
    return pooling_matrix(height, cells), pooling_matrix(width, cells).T.contiguous()
