"""The network that everything else sees: pixels in, logits and taps out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from segkd.errors import SegkdError, unknown_name
from segkd_distill.models.backbones.base import Backbone
from segkd_distill.models.config import IMAGENET_MEAN, IMAGENET_STD
from segkd_distill.models.heads.base import DecodeHead
from segkd_distill.models.network import Network
from segkd_distill.models.output import SegOutput, TapInfo


class Segmenter(Network):
    """A segmentation network that normalises its own input.

    Args:
        backbone: the feature extractor.
        decode_head: the head that is deployed.
        auxiliary_head: a head that only trains, or None.
        mean: RGB mean in 0..255.
        std: RGB deviation in 0..255.
        align_corners: how the logits are upsampled.
        init_weights: start each part from its own ``init_weights``; otherwise from what torch gives new layers.
            Either is the same after the same ``torch.manual_seed``.

    Attributes:
        backbone: the feature extractor.
        decode_head: the head that is deployed.
        auxiliary_head: a head that only trains, or None.
        mean: (1, 3, 1, 1) float, not part of the state dict.
        std: (1, 3, 1, 1) float, not part of the state dict.
        num_classes: channels of the logits.
        align_corners: how the logits are upsampled.
    """

    def __init__(
        self,
        backbone: Backbone,
        decode_head: DecodeHead,
        auxiliary_head: DecodeHead | None = None,
        *,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        align_corners: bool = False,
        init_weights: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = decode_head
        self.auxiliary_head = auxiliary_head
        self.align_corners = align_corners
        self.num_classes = decode_head.conv_seg.out_channels
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        for part in (backbone, decode_head, auxiliary_head):
            if init_weights and part is not None:
                part.init_weights()

    def forward(self, image: Tensor, taps: frozenset[str] = frozenset()) -> SegOutput:
        """Segment images.

        Args:
            image: (N, 3, H, W) RGB, uint8 or float, 0..255.
            taps: names of the intermediate features to return.

        Returns:
            Logits at the head's resolution, the auxiliary head's while training, and the taps. ``context`` is the
            context module's output before dropout, ``decoder`` what the classifier reads, after dropout.

        Raises:
            SegkdError: for an image of another shape or a tap that the network does not have.
        """
        if image.ndim != 4 or image.shape[1] != 3:
            raise SegkdError(f"expected images (N, 3, height, width), got {tuple(image.shape)}")
        known = self.tap_info().channels
        for name in taps:
            if name not in known:
                raise unknown_name("tap", name, known)
        features = self.backbone((image.to(self.mean.dtype) - self.mean) / self.std)
        head = self.decode_head(features)
        available = {**features._asdict(), "context": head.context, "decoder": head.decoder}
        auxiliary = None
        if self.training and self.auxiliary_head is not None:
            auxiliary = self.auxiliary_head(features).logits
        return SegOutput(head.logits, auxiliary, {name: available[name] for name in sorted(taps)})

    def tap_info(self) -> TapInfo:
        """Widths and strides of all taps, from the configuration alone."""
        stages = ("c1", "c2", "c3", "c4")
        channels = dict(zip(stages, self.backbone.widths, strict=True))
        strides = dict(zip(stages, self.backbone.strides, strict=True))
        channels |= {"c4_pre": channels["c4"], **self.decode_head.tap_channels}
        strides |= {"c4_pre": strides["c4"], **self.decode_head.tap_strides}
        return TapInfo(channels, strides, self.num_classes)
