"""What training, evaluation and export need of a network, whoever built it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

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

    def check_size(self, size: Sequence[int]) -> None:
        """Refuse images of a size (height, width) that the network cannot take; most take any.

        Raises:
            SegkdError: saying which it takes.
        """

    def tap_info(self) -> TapInfo:
        """Widths and strides of all taps, without running the network."""
        raise NotImplementedError

    def upsample(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """Bilinear resize of logits (N, K, h, w) to ``size`` (height, width); training, evaluation and export use it.

        ``logits`` itself where it already has that size.
        """
        height, width = size
        if logits.shape[-2:] == (height, width):
            return logits
        return F.interpolate(logits, size=(height, width), mode="bilinear", align_corners=self.align_corners)
