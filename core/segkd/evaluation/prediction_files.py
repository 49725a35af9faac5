"""Predicted label maps as PNG files that the data set's own tools read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Dataset
from segkd.errors import SegkdError
from segkd.files import write_atomic


class PredictionWriter:
    """Writes ``<id>.png``, 8 bit grey with the values of the data set's own label files, and ``color/color_<id>.png``.

    Published sets get the values that they are distributed with, as their evaluation servers want them, all others
    class indices. For Cityscapes these are label ids (7 = road, ...), and the file is ``<id>_pred_labelIds.png``. Its
    evaluation script takes the folder as ``CITYSCAPES_RESULTS``: it looks for one file per image whose name begins with
    the image's, in all folders below, which is why the colour pictures' names begin with ``color_``.

    Args:
        folder: made if need be.
        dataset: tells values and colours.
        kind: which data set it is, a key of ``segkd.data.DATASETS``.
    """

    def __init__(self, folder: Path, dataset: Dataset, kind: str) -> None:
        self.folder = folder
        labels = dataset.labels
        values = label_values(dataset, kind)
        self._suffix = "_pred_labelIds.png" if kind == "cityscapes" else ".png"
        self._values = np.zeros(256, np.uint8)
        self._values[: labels.num_classes] = values
        self._palette_bgr = np.zeros((256, 1, 3), np.uint8)
        self._palette_bgr[: labels.num_classes, 0] = np.array(labels.palette, np.uint8)[:, ::-1]

    def write(self, name: str, prediction: NDArray[np.uint8]) -> None:
        """Write one image's labels.

        Args:
            name: the image's id; may hold folders.
            prediction: uint8 (H, W), class indices.

        Raises:
            SegkdError: if a file cannot be written.
        """
        path = Path(name)
        write_png(self.folder / f"{name}{self._suffix}", cv2.LUT(prediction, self._values))
        colours = cv2.LUT(cv2.merge([prediction] * 3), self._palette_bgr)
        write_png(self.folder / "color" / path.parent / f"color_{path.name}.png", colours)


def label_values(dataset: Dataset, kind: str) -> tuple[int, ...]:
    """The value that each class has in predictions for a data set's own tools; class indices where it has none."""
    if kind == "cityscapes":
        from segkd.data.readers.cityscapes import CLASSES

        # Also where train ids were read: the evaluation wants label ids.
        return tuple(row.label_id for row in CLASSES)
    return dataset.file_values or tuple(range(dataset.labels.num_classes))


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a grey (H, W) or BGR (H, W, 3) picture in one step.

    Raises:
        SegkdError: naming the file, if it cannot be written.
    """
    encoded, content = cv2.imencode(".png", pixels)
    if not encoded:
        raise SegkdError(f"{path}: cannot be encoded as PNG")
    try:
        write_atomic(path, content.tobytes())
    except OSError as error:
        raise SegkdError(f"{path}: cannot be written ({error.strerror})") from error
