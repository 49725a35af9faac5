"""A labelled data set in memory, opened as ``blocks:FOLDER``: images of another size than the graph's."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from segkd.data import Dataset, LabelSpace
from tests.deploy.artifacts import NAMES, labels_of, make_frames

SCALE = 2


class Blocks(Dataset):
    """Frames scaled up by 2; the first column of every mask is ignored, the first image has one class on in row 0."""

    OPTIONS: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, path: Path, *, split: str = "val", count: int = 5) -> None:
        self.labels = LabelSpace(tuple(NAMES), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
        self.path = path
        self.frames = make_frames(count, seed=7)
        self.ids = [f"block{index}" for index in range(count)]

    def image_path(self, index: int) -> Path:
        return self.path / self.ids[index]

    def mask_path(self, index: int) -> Path | None:
        return None

    def read_image(self, index: int) -> NDArray[np.uint8]:
        return self.frames[index].repeat(SCALE, axis=0).repeat(SCALE, axis=1)

    def read_mask(self, index: int) -> NDArray[np.uint8]:
        mask = labels_of(self.read_image(index))
        if index == 0:
            mask[0] = (mask[0] + 1) % 3
        mask[:, 0] = 255
        return mask
