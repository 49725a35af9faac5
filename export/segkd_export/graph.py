"""The deployable module: a uint8 camera frame in, a uint8 class map out, everything else inside."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from segkd.errors import SegkdError
from segkd_distill.models.segmenter import Segmenter
from segkd_export.constant_pooling import fix_adaptive_pools

# Names of what a DeployGraph returns, in its order.
OUTPUTS = ("labels", "logits")


def to_image(frames: Tensor) -> Tensor:
    """Frames as the network takes them.

    The cast comes before the transposition because TensorRT refuses to transpose uint8.

    Args:
        frames: uint8 RGB (N, height, width, 3).

    Returns:
        float32 RGB 0..255 (N, 3, height, width).
    """
    return frames.to(torch.float32).permute(0, 3, 1, 2)


class DeployGraph(nn.Module):
    """Normalisation, network, bilinear upsampling and argmax in one module.

    Export writes it once and cuts it in two: the complete graph that gives labels, and the twin that gives logits.

    Args:
        segmenter: a network in eval mode; it normalises by itself and owns the upsampling's ``align_corners``.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.train(segmenter.training)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Label frames.

        Args:
            frames: uint8 RGB (N, height, width, 3).

        Returns:
            Labels, uint8 (N, height, width) class indices, the lowest of equals; and logits, float32 (N, K, h, w) at
            the network's own resolution.
        """
        height_px, width_px = frames.shape[1], frames.shape[2]
        logits = self.segmenter(to_image(frames)).logits
        labels = self.segmenter.upsample(logits, (height_px, width_px)).argmax(dim=1).to(torch.uint8)
        return labels, logits


def deployable(segmenter: Segmenter, imgsz: tuple[int, int]) -> Segmenter:
    """A copy fit for export at one input size; the original stays as it is.

    The auxiliary head is left out, and adaptive average pools become constant matrix products.

    Args:
        segmenter: a network in eval mode.
        imgsz: height and width of the frames in pixels.

    Raises:
        SegkdError: if any part of the network is in training mode (batch statistics would be exported).
    """
    training = [name or "the network" for name, module in segmenter.named_modules() if module.training]
    if training:
        raise SegkdError(f"export needs a network in eval mode, but {training[0]} is in training mode; call .eval()")
    copied = copy.deepcopy(segmenter).cpu().float().requires_grad_(False)
    copied.auxiliary_head = None
    height_px, width_px = imgsz
    frame = torch.zeros(1, height_px, width_px, 3, dtype=torch.uint8)
    fix_adaptive_pools(copied, DeployGraph(copied), frame)
    return copied
