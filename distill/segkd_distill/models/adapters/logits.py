"""What the adapters have in common: a foreign network of which only the logits are known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.models.network import Network
from segkd_distill.models.output import SegOutput, TapInfo


class LogitsNetwork(Network):
    """A network without taps; subclasses implement :meth:`logits`.

    Args:
        num_classes: channels of the logits.
        mean: RGB mean in 0..255.
        std: RGB deviation in 0..255.
        align_corners: how the logits are upsampled.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.align_corners = align_corners
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor, taps: frozenset[str] = frozenset()) -> SegOutput:
        """Segment images (N, 3, H, W), RGB, uint8 or float, 0..255.

        Raises:
            SegkdError: for an image of another shape or size, a tap, or logits of another shape than (N, K, h, w).
        """
        if image.ndim != 4 or image.shape[1] != 3:
            raise SegkdError(f"expected images (N, 3, height, width), got {tuple(image.shape)}")
        if taps:
            raise SegkdError(f"this network gives logits alone, not the taps {', '.join(sorted(taps))}")
        self.check_size(image.shape[2:])
        logits = self.logits((image.to(self.mean.dtype) - self.mean) / self.std)
        if logits.ndim != 4 or logits.shape[:2] != (len(image), self.num_classes):
            raise SegkdError(
                f"expected logits ({len(image)}, {self.num_classes}, height, width), the network gave "
                f"{tuple(logits.shape)}"
            )
        return SegOutput(logits, None, {})

    def logits(self, pixels: Tensor) -> Tensor:
        """Logits (N, K, h, w), at any resolution, of pixels (N, 3, H, W) float, with mean and deviation applied."""
        raise NotImplementedError

    def tap_info(self) -> TapInfo:
        """No taps."""
        return TapInfo({}, {}, self.num_classes)
