"""A teacher that takes images of one size only, for images of any: in tiles, or resized."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd.evaluation.protocols import two_thirds
from segkd_distill.inference.sliding_window import window_corners
from segkd_distill.models.network import Network
from segkd_distill.models.output import SegOutput, TapInfo

Fit = Literal["tile", "resize"]


def fitted(teacher: Network, fit: Fit | None, called: str) -> Network:
    """A teacher that takes images of any size.

    Args:
        teacher: the network.
        fit: how images of another size reach it; None leaves the network as it is.
        called: its name, for the message.

    Raises:
        SegkdError: if the network takes any size by itself.
    """
    if fit is None:
        return teacher
    if teacher.input_size() is None:
        raise SegkdError(
            f"{called} takes images of any size; leave out --teacher-fit {fit} (teacher.fit, eval's --fit)"
        )
    return FittedTeacher(teacher, fit)


class FittedTeacher(Network):
    """Shows a teacher images of the one size that it takes; it has no taps.

    - ``tile``: windows of that size, a third of each covered by its neighbour, the last ones at the image's edges. An
      image that is smaller is filled up with the teacher's mean colour. Where tiles overlap, logits are averaged, or
      scores where the logits are their logarithms.
    - ``resize``: the whole image, bilinear with antialiasing; its proportions change.

    Args:
        teacher: the network; its ``input_size`` is not None.
        fit: how.

    Attributes:
        teacher: the network.
        fit: how.
    """

    def __init__(self, teacher: Network, fit: Fit) -> None:
        super().__init__()
        self.teacher, self.fit = teacher, fit
        self.num_classes = teacher.num_classes
        self.align_corners = teacher.align_corners
        self.register_buffer("mean", teacher.mean.clone(), persistent=False)
        self.register_buffer("std", teacher.std.clone(), persistent=False)

    def forward(self, image: Tensor, taps: frozenset[str] = frozenset()) -> SegOutput:
        """Segment images (N, 3, H, W), RGB, uint8 or float, 0..255.

        Returns:
            Logits at the teacher's resolution for ``resize``; for ``tile`` at its stride, or one per pixel where the
            stride does not divide the image.

        Raises:
            SegkdError: for an image of another shape, or a tap.
        """
        if image.ndim != 4 or image.shape[1] != 3:
            raise SegkdError(f"expected images (N, 3, height, width), got {tuple(image.shape)}")
        if taps:
            raise SegkdError(
                f"a teacher behind teacher.fit gives logits alone, not the taps {', '.join(sorted(taps))}; train on "
                "crops of its size without teacher.fit, or take a method on logits"
            )
        size = self._size_for(image)
        if size == image.shape[2:]:
            return SegOutput(self.teacher(image).logits, None, {})
        logits = self._tiled(image, size) if self.fit == "tile" else self._resized(image, size)
        return SegOutput(logits, None, {})

    def to_scores(self, logits: Tensor) -> Tensor:
        """What the teacher resizes and averages."""
        return self.teacher.to_scores(logits)

    def from_scores(self, scores: Tensor) -> Tensor:
        """The inverse of :meth:`to_scores`."""
        return self.teacher.from_scores(scores)

    def tap_info(self) -> TapInfo:
        """No taps."""
        return TapInfo({}, {}, self.num_classes)

    def upsample(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """The teacher's way to resize logits."""
        return self.teacher.upsample(logits, size)

    def _size_for(self, image: Tensor) -> tuple[int, int]:
        """The teacher's size, its free edges those of the image."""
        fixed = self.teacher.input_size() or (None, None)
        return fixed[0] or image.shape[2], fixed[1] or image.shape[3]

    def _resized(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        pixels = F.interpolate(image.float(), size, mode="bilinear", align_corners=False, antialias=True)
        logits: Tensor = self.teacher(pixels).logits
        return logits

    def _tiled(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits (N, K, H / cell, W / cell) of tiles of ``size``."""
        height, width = image.shape[2:]
        pixels = self._filled_up(image, size)

        # Cells of the teacher's own stride where they fit into tiles and image, else single pixels.
        first: Tensor = self.teacher(pixels[..., : size[0], : size[1]]).logits
        cell = _cell(size, (first.shape[2], first.shape[3]), (height, width))
        stride = tuple(max(1, step // cell) * cell for step in two_thirds(size))
        tile_cells = (size[0] // cell, size[1] // cell)

        # (N, K, cells) summed over tiles, and how many tiles cover each cell.
        filled_height, filled_width = pixels.shape[2] // cell, pixels.shape[3] // cell
        total = first.new_zeros(*first.shape[:2], filled_height, filled_width)
        cover = first.new_zeros(filled_height, filled_width)
        for top, left in window_corners(pixels.shape[2:], size, stride):
            corner = top == left == 0
            part = first if corner else self.teacher(pixels[..., top : top + size[0], left : left + size[1]]).logits
            rows = slice(top // cell, top // cell + tile_cells[0])
            columns = slice(left // cell, left // cell + tile_cells[1])
            total[..., rows, columns] += self.teacher.to_scores(self.teacher.upsample(part, tile_cells))
            cover[rows, columns] += 1

        mean = self.teacher.from_scores(total / cover)
        return mean[..., : height // cell, : width // cell]

    def _filled_up(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """The image, at least as large as a tile: the mean colour below it and at its right."""
        height, width = image.shape[2:]
        if height >= size[0] and width >= size[1]:
            return image
        shape = (len(image), 3, max(height, size[0]), max(width, size[1]))
        filled = self.mean.expand(shape).clone()
        filled[..., :height, :width] = image
        return filled


def _cell(size: tuple[int, int], grid: tuple[int, int], image: tuple[int, int]) -> int:
    """Pixels per edge of the teacher's cells where tiles and image are made of whole ones, else 1."""
    cell = size[0] // grid[0]
    whole = all(edge % cell == 0 for edge in (*size, *image)) if cell else False
    return cell if whole and grid == (size[0] // cell, size[1] // cell) else 1
