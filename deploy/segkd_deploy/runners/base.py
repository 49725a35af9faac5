"""What every runtime offers: frames in, labels out, and an honest description of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import BackendMissing
from segkd_deploy.graph_spec import GraphSpec


class ProviderMissing(BackendMissing):
    """The installed library was built without a provider."""


class Runner(ABC):
    """Runs a complete graph: uint8 frames in, uint8 NHW labels out; ``spec`` has their shapes.

    A context manager: the session lives between ``__enter__`` and ``__exit__``. A provider or device that is
    missing raises ``BackendMissing``; there is no silent change to another.

    Attributes:
        spec: shapes, known before the session is opened.
        last_stages_ms: milliseconds of the stages of the last ``infer`` (``h2d``, ``compute``, ``d2h``),
            those that the runtime can tell apart.
    """

    spec: GraphSpec
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
