"""The deployable module: a uint8 camera frame in, a uint8 class map out, everything else inside."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from segkd.errors import SegkdError
from segkd_distill.models.network import Network
from segkd_distill.models.segmenter import Segmenter
from segkd_export.graph.camera_frame import CameraFrame
from segkd_export.graph.constant_pooling import fix_adaptive_pools

# Names of what a DeployGraph returns, in its order.
OUTPUTS = ("labels", "logits")


class DeployGraph(nn.Module):
    """Colours, size, normalisation, network, bilinear upsampling and argmax in one module.

    Export writes it once and cuts it in two: the complete graph that gives labels, and the logits graph.

    Args:
        segmenter: a network in eval mode; it normalises by itself and owns the upsampling's ``align_corners``.
        camera: what comes in and at which size labels go out.
    """

    def __init__(self, segmenter: Network, camera: CameraFrame) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.camera = camera
        self.train(segmenter.training)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Label frames.

        Args:
            frames: uint8, of the shape ``camera.frames_shape(N)``.

        Returns:
            Labels, uint8 (N, *camera.labels_px) class indices, the lowest of equals; and logits, float32 (N, K, h, w)
            at the network's own resolution.
        """
        logits = self.segmenter(self.camera.to_image(frames)).logits
        labels = self.camera.to_scores(self.segmenter, logits).argmax(dim=1)
        # By way of float32: TensorRT documents no other cast to uint8.
        labels = labels.to(torch.float32).to(torch.uint8)
        return labels, logits


def deployable(segmenter: Network, imgsz: tuple[int, int]) -> Network:
    """A copy fit for export at one input size; the original stays as it is.

    The auxiliary head is left out, and adaptive average pools become constant matrix products.

    Args:
        segmenter: a network in eval mode.
        imgsz: height and width in pixels that the network sees.

    Raises:
        SegkdError: if any part of the network is in training mode (batch statistics would be exported).
    """
    training = [name or "the network" for name, module in segmenter.named_modules() if module.training]
    if training:
        raise SegkdError(f"export needs a network in eval mode, but {training[0]} is in training mode; call .eval()")
    copied = copy.deepcopy(segmenter).cpu().float().requires_grad_(False)
    if isinstance(copied, Segmenter):
        copied.auxiliary_head = None
    fix_adaptive_pools(copied, copied, torch.zeros(1, 3, *imgsz))
    return copied
