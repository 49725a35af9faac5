"""Encoders of timm."""

from __future__ import annotations

import difflib

from torch import Tensor

from segkd.errors import SegkdError, import_extra
from segkd_distill.models.backbones.base import Backbone, Features

STAGES = 4


class TimmEncoder(Backbone):
    """The last four levels of a timm encoder, as c1..c4.

    Args:
        encoder: a name of ``timm.list_models()``.
        output_stride: of c4; below 32 the last stages are dilated instead of strided, where the encoder can.

    Attributes:
        body: timm's network.
        mean: RGB mean in 0..255 that its published weights were trained with.
        std: RGB deviation in 0..255.

    Raises:
        SegkdError: if timm has no such encoder, or it has fewer levels or no such output stride.
        MissingExtra: if timm is not installed.
    """

    def __init__(self, *, encoder: str, output_stride: int = 32) -> None:
        super().__init__()
        timm = import_extra("timm", "timm")
        known = timm.list_models()
        if encoder.partition(".")[0] not in known:
            near = difflib.get_close_matches(encoder, known, n=1)
            raise SegkdError(f"timm has no encoder {encoder!r}" + (f"; did you mean {near[0]!r}?" if near else ""))

        dilated = {} if output_stride == 32 else {"output_stride": output_stride}
        try:
            self.body = timm.create_model(encoder, pretrained=False, features_only=True, **dilated)
        except (AssertionError, AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise SegkdError(
                f"timm's {encoder} gives no features at output stride {output_stride} ({reason}); try another stride, "
                "as in stride=32, or another encoder"
            ) from error

        widths, strides = self.body.feature_info.channels(), self.body.feature_info.reduction()
        if len(widths) < STAGES:
            raise SegkdError(
                f"timm's {encoder} has {len(widths)} levels of features; four are needed: take another one"
            )
        if strides[-1] != output_stride:
            raise SegkdError(
                f"timm's {encoder} has output stride {strides[-1]}, not {output_stride}; say stride={strides[-1]}"
            )

        self.widths = (widths[-4], widths[-3], widths[-2], widths[-1])
        self.strides = (strides[-4], strides[-3], strides[-2], strides[-1])
        self._channels_last = str(getattr(self.body, "output_fmt", "NCHW")).endswith("NHWC")
        mean, std = (timm.get_pretrained_cfg_value(encoder, key) for key in ("mean", "std"))
        self.mean = tuple(255 * value for value in mean or (0.485, 0.456, 0.406))
        self.std = tuple(255 * value for value in std or (0.229, 0.224, 0.225))

    def forward(self, image: Tensor) -> Features:
        """The last four levels of a normalised image; ``c4_pre`` is ``c4``."""
        levels = self.body(image)[-STAGES:]
        maps = [level.permute(0, 3, 1, 2) if self._channels_last else level for level in levels]
        return Features(maps[0], maps[1], maps[2], maps[3], maps[3])

    def init_weights(self) -> None:
        """Nothing: timm has initialised its network."""
