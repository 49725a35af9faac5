"""Masked feature reconstruction: the student's masked feature must give back the teacher's (Af-DCD)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkd_distill.losses.checks import check_mask, check_pair, upcast
from segkd_distill.losses.sparse_convolution import rows_at, sparse_conv3x3

SPARSE_UP_TO = 0.5
"""Share of kept positions up to which the nine products of the kept rows are faster than a whole convolution."""


class MaskedGenerator(nn.Module):
    """Aligns the student's feature, drops the masked positions, and generates a feature of the teacher's width.

    Source: OSVAI/Af-DCD ``losses/ocmgd.py`` at 5b086a7: ``OmniContrastiveFeatureLoss.align`` and ``.projetor``.

    Differs from the original:
        - Nothing is aligned where the widths are equal; the original fails there.
        - On a CPU, alignment and first convolution leave out the dropped positions if these are the majority; the
          value is the same.

    Args:
        student_width: channels that come in.
        teacher_width: channels that go out.
        enhanced: the mean of two branches, one a convolution deeper, instead of two convolutions in a row: the
            original's ``EnhancedProjector``.
    """

    def __init__(self, student_width: int, teacher_width: int, *, enhanced: bool = False) -> None:
        super().__init__()
        same = student_width == teacher_width
        self.align = nn.Identity() if same else nn.Conv2d(student_width, teacher_width, 1)
        self.first = _conv3x3(teacher_width)
        self.second = _conv3x3(teacher_width)
        self.from_first = _conv3x3(teacher_width) if enhanced else None
        self.from_second = _conv3x3(teacher_width) if enhanced else None

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """The generated feature.

        Args:
            x: (N, student_width, h, w) student's feature.
            keep: (N or 1, 1, h, w) bool, the positions that the generator may see.

        Returns:
            (N, teacher_width, h, w).
        """
        hidden = F.relu(self._first_of_kept(x, keep))
        generated: Tensor = self.second(hidden)
        if self.from_first is not None and self.from_second is not None:
            generated = (self.from_first(hidden) + self.from_second(F.relu(generated))) / 2
        return generated

    def _first_of_kept(self, x: Tensor, keep: Tensor) -> Tensor:
        """``first(align(x) * keep)``."""
        if x.device.type != "cpu" or keep.float().mean() > SPARSE_UP_TO:
            dense: Tensor = self.first(self.align(x) * keep)
            return dense
        places = keep[:, 0].expand(len(x), -1, -1)
        rows = rows_at(x, places)
        if isinstance(self.align, nn.Conv2d):
            rows = F.linear(rows, self.align.weight.flatten(1), self.align.bias)
        sparse = sparse_conv3x3(rows, places, self.first.weight, cast(Tensor, self.first.bias))
        channels_last = x.is_contiguous(memory_format=torch.channels_last)
        return sparse.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _conv3x3(width: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, padding=1)


def random_keep(noise: Tensor, ratio: float) -> Tensor:
    """Keeps a position where its noise, uniform in 0..1, is at most 1 - ratio.

    Args:
        noise: (N, 1, h, w).
        ratio: the share that is dropped, 0..1.

    Returns:
        Bool, the noise's shape.
    """
    return noise <= 1 - ratio


def centre_keep(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Keeps all but the centre third in both directions.

    Returns:
        (1, 1, height, width) bool.
    """
    keep = torch.ones(1, 1, height, width, dtype=torch.bool, device=device)
    keep[:, :, height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = False
    return keep


def masked_reconstruction(g: Tensor, t: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """1/N times the sum of (g - t)^2 over channels and positions, dropped ones and others alike.

    Source: OSVAI/Af-DCD ``losses/ocmgd.py`` at 5b086a7 (``dis_loss``).

    Differs from the original:
        - ``mask``; without it the values are the original's.

    Args:
        g: (N, C, h, w) generated feature.
        t: (N, C, h, w) the teacher's; gets no gradient.
        mask: (N, h, w) bool, the positions that count.

    Returns:
        Scalar: float64 for float64 input, else float32.

    Raises:
        SegkdError: for shapes that differ or a mask of another shape.
    """
    check_pair(g, t)
    g = upcast(g)
    t = t.detach().to(g.dtype)
    if mask is not None:
        check_mask(mask, g)
        inside = mask[:, None]
        g, t = g.masked_fill(~inside, 0), t.masked_fill(~inside, 0)
    return F.mse_loss(g, t, reduction="sum") / len(g)
