"""A data set in memory and a predictor that knows the truth, for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Dataset, LabelSpace, Sample
from segkd.evaluation import NotFiniteError, Predictor

LABELS = LabelSpace(("road", "sky", "tree"), ((128, 64, 10), (70, 130, 180), (0, 200, 0)))


class Pictures(Dataset):
    """Random pictures of given sizes; the first row is ignored."""

    def __init__(self, *sizes: tuple[int, int], has_masks: bool = True) -> None:
        self.labels = LABELS
        self.ids = [f"p{i}" for i in range(len(sizes))]
        self.sizes, self.has_masks = sizes, has_masks
        self.being_read: list[int] = []

    def image_path(self, index: int) -> Path:
        return Path(f"{index}.png")

    def mask_path(self, index: int) -> Path:
        return Path(f"{index}_mask.png")

    def read_image(self, index: int) -> NDArray[np.uint8]:
        self.being_read.append(index)
        return np.random.default_rng(index).integers(0, 256, (*self.sizes[index], 3), dtype=np.uint8)

    def read_mask(self, index: int) -> NDArray[np.uint8]:
        mask = np.random.default_rng(index + 50).integers(0, 3, self.sizes[index], dtype=np.uint8)
        mask[0] = 255
        return mask


class Oracle(Predictor):
    """Says the truth, but for ``wrong`` pixels of each image in turn."""

    class_names = LABELS.names

    def __init__(self, *wrong: int, batch: int = 1, one_size: bool = True, nan_at: int | None = None) -> None:
        self.wrong, self.batch, self.one_size, self.nan_at = list(wrong), batch, one_size, nan_at
        self.batches: list[list[str]] = []

    def __enter__(self) -> Oracle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def predict(self, samples: Sequence[Sample]) -> list[NDArray[np.uint8]]:
        self.batches.append([sample.id for sample in samples])
        if self.nan_at is not None:
            raise NotFiniteError(self.nan_at)
        return [self._labels(sample) for sample in samples]

    def _labels(self, sample: Sample) -> NDArray[np.uint8]:
        labels = np.where(sample.mask == 255, 0, sample.mask).astype(np.uint8)
        wrong = self.wrong.pop(0) if self.wrong else 0
        if wrong:
            rows = labels[1:].reshape(-1)[:wrong]
            rows[:] = (rows + 1) % 3
        return labels

    def describe(self) -> dict[str, Any]:
        return {"oracle": True}
