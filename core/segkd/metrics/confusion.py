"""The confusion matrix of a whole set, in whole numbers."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError

# OpenCV's histogram is float32, which counts exactly up to 2^24: this many pixels at a time stay below.
_CHUNK_PIXELS = 1 << 22


class ConfusionMatrix:
    """Counts of (truth, prediction) pairs over the pixels of a set.

    Ignored pixels are not counted. A prediction outside 0..num_classes-1 is counted in the last column: it is a miss
    of its true class and a false alarm of none, as in mmsegmentation and the Cityscapes evaluator.

    Attributes:
        num_classes: number of classes, K.
        ignore: value of the truth that is not scored, K..255.
        counts: int64 (K, K + 1); row = truth, column = prediction, last column = predictions outside 0..K-1.

    Raises:
        SegkdError: if the ignored value is one of the classes.
    """

    def __init__(self, num_classes: int, ignore: int = 255) -> None:
        if not 1 <= num_classes <= ignore <= 255:
            raise SegkdError(
                f"a confusion matrix needs 1 to 255 classes and an ignored value from there to 255, "
                f"got {num_classes} classes and {ignore}"
            )
        self.num_classes = num_classes
        self.ignore = ignore
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes + 1), np.int64)

    def update(self, prediction: NDArray[np.integer[Any]], target: NDArray[np.integer[Any]]) -> None:
        """Count the pixels of one image or batch.

        Args:
            prediction: integers of any shape, as (H, W) or (N, H, W); uint8 is fastest.
            target: integers of the same shape, each a class or the ignored value.

        Raises:
            SegkdError: for different shapes, values that are no integers, or a target that is neither a class nor
                ignored.
        """
        check_shapes(prediction, target)
        predicted = self._as_bytes(prediction, "prediction").ravel()
        truth = self._as_bytes(target, "target").ravel()
        table = _joint_histogram(truth, predicted)
        table[self.ignore] = 0
        undeclared = np.flatnonzero(table[self.num_classes :].any(axis=1))
        if undeclared.size:
            raise SegkdError(
                f"the target holds the value {undeclared[0] + self.num_classes}, which is neither one of "
                f"{self.num_classes} classes nor the ignored {self.ignore}"
            )
        rows = table[: self.num_classes]
        self.counts[:, :-1] += rows[:, : self.num_classes]
        self.counts[:, -1] += rows[:, self.num_classes :].sum(axis=1)

    def merge(self, other: ConfusionMatrix) -> None:
        """Add the counts of another part of the set.

        Raises:
            SegkdError: if it counts other classes.
        """
        if (other.num_classes, other.ignore) != (self.num_classes, self.ignore):
            raise SegkdError(
                f"cannot add counts of {other.num_classes} classes (ignored: {other.ignore}) to counts of "
                f"{self.num_classes} (ignored: {self.ignore})"
            )
        self.counts += other.counts

    def _as_bytes(self, values: NDArray[np.integer[Any]], what: str) -> NDArray[np.uint8]:
        if values.dtype == np.uint8:
            return np.asarray(values, np.uint8)
        if not np.issubdtype(values.dtype, np.integer):
            raise SegkdError(f"the {what} holds {values.dtype}, expected integers")
        inside = (values >= 0) & (values < self.num_classes)
        if what == "target":
            inside |= values == self.ignore
            if not inside.all():
                wrong = values[~inside].flat[0]
                raise SegkdError(
                    f"the target holds the value {wrong}, which is neither one of {self.num_classes} classes "
                    f"nor the ignored {self.ignore}"
                )
        return np.where(inside, values, 255).astype(np.uint8)


def check_shapes(prediction: NDArray[Any], target: NDArray[Any], *, maps: bool = False) -> None:
    """Refuse arrays of different shapes, or with ``maps`` any that are no two maps (height, width).

    Raises:
        SegkdError: giving both shapes.
    """
    if prediction.shape != target.shape or (maps and target.ndim != 2):
        form = ": two maps (height, width)" if maps else ""
        raise SegkdError(
            f"prediction has shape {prediction.shape}, its target {target.shape}; they must be equal{form}"
        )


def _joint_histogram(truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each pair of bytes occurs: int64 (256, 256), row = truth."""
    joint = np.zeros(1 << 16, np.int64)
    for start in range(0, truth.size, _CHUNK_PIXELS):
        pairs = np.empty((1, min(_CHUNK_PIXELS, truth.size - start), 2), np.uint8)
        part = slice(start, start + pairs.shape[1])
        # Two bytes side by side are one 16-bit number; explicit byte order, so that the row is the truth everywhere.
        cv2.merge([predicted[part][None], truth[part][None]], pairs)
        codes = pairs.view("<u2")[..., 0].astype(np.uint16, copy=False)
        joint += cv2.calcHist([codes], [0], None, [1 << 16], [0, 1 << 16]).ravel().astype(np.int64)
    return joint.reshape(256, 256)
