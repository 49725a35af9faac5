"""What every runtime offers: frames in, labels out, and an honest description of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import BackendMissing


class ProviderMissing(BackendMissing):
    """The installed library was built without a provider."""


@dataclass(frozen=True)
class RunnerSpec:
    """Input and output of a graph.

    Attributes:
        batch: images per call; None when any number goes.
        height_px: frame height.
        width_px: frame width.
        num_classes: labels are below this.
        color: what a frame holds: ``RGB`` or ``BGR`` (height, width, 3), or ``NV12`` (height * 3/2, width): the luma
            rows, then half as many rows of interleaved U and V.
        yuv: how NV12 codes colours, a key of ``segkd_deploy.camera.YUV``; None for other frames.
        labels_px: height and width of the labels; None for the frame's.
        content_px: top, left, height and width of the part of the labels that the frame fills; None for all.
    """

    batch: int | None
    height_px: int
    width_px: int
    num_classes: int
    color: str = "RGB"
    yuv: str | None = None
    labels_px: tuple[int, int] | None = None
    content_px: tuple[int, int, int, int] | None = None

    def frames_shape(self, count: int) -> tuple[int, ...]:
        """Shape of ``count`` frames as ``infer`` takes them."""
        if self.color == "NV12":
            return (count, self.height_px * 3 // 2, self.width_px)
        return (count, self.height_px, self.width_px, 3)

    def labels_shape(self, count: int) -> tuple[int, int, int]:
        """Shape of the labels of ``count`` frames."""
        return (count, *(self.labels_px or (self.height_px, self.width_px)))


class Runner(ABC):
    """Runs a complete graph: uint8 frames in, uint8 NHW labels out; ``spec`` has their shapes.

    A context manager: the session lives between ``__enter__`` and ``__exit__``. A provider or device that is
    missing raises ``BackendMissing``; there is no silent change to another.

    Attributes:
        spec: shapes, known before the session is opened.
        last_stages_ms: milliseconds of the stages of the last ``infer`` (``h2d``, ``compute``, ``d2h``),
            those that the runtime can tell apart.
    """

    spec: RunnerSpec
    last_stages_ms: dict[str, float]

    def __init__(self, graph: Path) -> None:
        self.graph = graph
        self.last_stages_ms = {}

    @abstractmethod
    def __enter__(self) -> Runner:
        """Open the session."""

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session and free the device."""

    @abstractmethod
    def infer(self, frames: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Label frames.

        Args:
            frames: uint8, of the shape ``spec.frames_shape(N)``.
            out: uint8, of the shape ``spec.labels_shape(N)``, to write into, else a new array is returned.

        Returns:
            uint8 (N, height, width) class indices.
        """

    def infer_device(self, pointer: int, stream: int) -> int:
        """Label frames that lie in device memory; only runtimes with a device have it.

        Args:
            pointer: device address of uint8 frames, of the shape ``spec.frames_shape(N)``.
            stream: the CUDA stream's handle.

        Returns:
            Device address of the uint8 labels.
        """
        raise NotImplementedError(f"{type(self).__name__} has no device memory")

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Runtime name, version, provider and device really used, thread counts, graph sha256."""
