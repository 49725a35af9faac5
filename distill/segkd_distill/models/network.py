"""What training, evaluation and export need of a network, whoever built it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.models.output import SegOutput, TapInfo


class Network(nn.Module):
    """Pixels in, logits and taps out.

    Attributes:
        mean: (1, 3, 1, 1) float, RGB in 0..255, not part of the state dict; it is on the network's device.
        std: (1, 3, 1, 1) float, RGB in 0..255, not part of the state dict.
        num_classes: channels of the logits.
        align_corners: how the logits are upsampled.
    """

    mean: Tensor
    std: Tensor
    num_classes: int
    align_corners: bool

    def forward(self, image: Tensor, taps: frozenset[str] = frozenset()) -> SegOutput:
        """Segment images (N, 3, H, W), RGB, uint8 or float, 0..255; the taps are those asked for.

        Raises:
            SegkdError: for an image of another shape or a tap that the network does not have.
        """
        raise NotImplementedError

    def input_size(self) -> tuple[int | None, int | None] | None:
        """The one size (height, width) of images that the network takes, None for a free edge; None for any size."""
        return None

    def check_size(self, size: Sequence[int]) -> None:
        """Refuse images of a size (height, width) that the network cannot take; most take any.

        Raises:
            SegkdError: saying which it takes, and how others can reach it.
        """
        fixed = self.input_size()
        if fixed is not None and any(edge not in (None, given) for edge, given in zip(fixed, size, strict=True)):
            wanted = "x".join("any" if edge is None else str(edge) for edge in fixed)
            raise SegkdError(
                f"the teacher takes images of {wanted} pixels, got {size[0]}x{size[1]}; train on crops of that size "
                f"(--imgsz {wanted}), or choose how others reach it, in tiles or resized: --teacher-fit tile|resize "
                "(teacher.fit in a recipe; --fit of `segkd eval`)"
            )

    def tap_info(self) -> TapInfo:
        """Widths and strides of all taps, without running the network."""
        raise NotImplementedError

    def to_scores(self, logits: Tensor) -> Tensor:
        """What is resized and averaged in place of the logits; the logits themselves for most networks."""
        return logits

    def from_scores(self, scores: Tensor) -> Tensor:
        """The inverse of :meth:`to_scores`."""
        return scores

    def upsample(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """Bilinear resize of logits (N, K, h, w) to ``size`` (height, width); training, evaluation and export use it.

        ``logits`` itself where it already has that size.
        """
        height, width = size
        if logits.shape[-2:] == (height, width):
            return logits
        scores = self.to_scores(logits)
        resized = F.interpolate(scores, size=(height, width), mode="bilinear", align_corners=self.align_corners)
        return self.from_scores(resized)
