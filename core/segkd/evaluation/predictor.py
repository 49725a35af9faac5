"""What an evaluation needs of a network or a graph: labels for images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Sample
from segkd.errors import SegkdError


class NotFiniteError(SegkdError):
    """A network's logits hold nan or infinity.

    Args:
        index: position of the image in its batch.
    """

    def __init__(self, index: int) -> None:
        super().__init__("the network's logits are not finite (nan or infinity), so they give no labels")
        self.index = index


@dataclass(frozen=True)
class Inference:
    """How an image becomes labels.

    Attributes:
        mode: the whole image at once, or a sliding window.
        crop: height and width of the window in pixels.
        stride: vertical and horizontal distance of windows in pixels.
        scales: factors of the image size; more than one are averaged.
        flip: whether the mirrored image is averaged with it.
        test_scale: short side and limit of the long side to which images are resized first; None for their own size.
        align_corners: how logits are upsampled; None for the network's own way.
        average: what scales and flips average: probabilities (mmsegmentation) or logits (CIRKD).
    """

    mode: Literal["whole", "slide"] = "whole"
    crop: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    test_scale: tuple[int, int] | None = None
    align_corners: bool | None = None
    average: Literal["probabilities", "logits"] = "probabilities"

    def __post_init__(self) -> None:
        if self.mode == "slide" and (self.crop is None or self.stride is None):
            raise SegkdError("a sliding window needs the size of its crop and its stride: give --crop HxW")
        if self.mode == "whole" and (self.crop is not None or self.stride is not None):
            raise SegkdError("crop and stride belong to --mode slide")
        if self.crop is not None and self.stride is not None and not _covers(self.crop, self.stride):
            raise SegkdError(f"the stride {self.stride} leaves gaps between crops of {self.crop}; make it smaller")
        if not self.scales or min(self.scales) <= 0:
            raise SegkdError(f"scales are factors above 0, got {list(self.scales)}")

    @property
    def is_plain(self) -> bool:
        """Whether each image goes through the network once and as it is."""
        return self.mode == "whole" and self.scales == (1.0,) and not self.flip and self.test_scale is None


def _covers(crop: tuple[int, int], stride: tuple[int, int]) -> bool:
    return all(0 < step <= size for step, size in zip(stride, crop, strict=True))


class Predictor(ABC):
    """A context manager that labels images.

    Attributes:
        class_names: the classes of its labels, in order.
        batch: images that :meth:`predict` takes at once.
        one_size: whether the images of a batch must have one size.
    """

    class_names: tuple[str, ...]
    batch: int = 1
    one_size: bool = True

    @abstractmethod
    def __enter__(self) -> Predictor:
        """Open what is needed."""

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""

    @abstractmethod
    def predict(self, samples: Sequence[Sample]) -> list[NDArray[np.uint8]]:
        """Labels of images, each at the size of its mask, uint8 (H, W).

        Raises:
            NotFiniteError: if the network's logits are not finite.
        """

    def describe(self) -> dict[str, Any]:
        """Where the labels come from: files, hashes, device."""
        return {}
