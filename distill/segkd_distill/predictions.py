"""Predicted label maps as PNG files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.data.base import LabelSpace
from segkd.errors import SegkdError
from segkd.files import write_atomic


class PredictionWriter:
    """Writes ``<id>.png`` (class indices, 8 bit grey) and ``color/<id>.png`` (the classes' colours).

    Args:
        folder: made if need be.
        labels: tells the colours.
    """

    def __init__(self, folder: Path, labels: LabelSpace) -> None:
        self.folder = folder
        palette = np.zeros((256, 3), np.uint8)
        palette[: labels.num_classes] = labels.palette
        self._palette_bgr = palette[:, ::-1]

    def __call__(self, name: str, prediction: NDArray[np.uint8]) -> None:
        """Write one image's labels, uint8 (H, W)."""
        self._write(self.folder / f"{name}.png", prediction)
        self._write(self.folder / "color" / f"{name}.png", self._palette_bgr[prediction])

    def _write(self, path: Path, pixels: NDArray[np.uint8]) -> None:
        written, encoded = cv2.imencode(".png", pixels)
        if not written:
            raise SegkdError(f"{path}: cannot be encoded as PNG")
        write_atomic(path, encoded.tobytes())
