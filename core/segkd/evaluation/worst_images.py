"""The images that went worst, to look at."""

from __future__ import annotations

import heapq
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.data.base import LabelSpace, Sample
from segkd.evaluation.prediction_files import write_png
from segkd.files import finite, write_json
from segkd.metrics import Areas, Scores, scores

# BGR of what the difference shows: wrong pixels, and pixels that are not scored.
_WRONG = (40, 40, 230)
_IGNORED = (0, 0, 0)
_GAP_PX = 4


class _Kept(NamedTuple):
    """Smallest first: the best of the kept images is the one to give up."""

    quality: float
    order: int
    sample: Sample
    prediction: NDArray[np.uint8]
    own: Scores


class WorstImages:
    """Keeps the images with the lowest mIoU of their own (over the classes that occur in them).

    Args:
        count: how many.
        labels: names and colours of the classes.
    """

    def __init__(self, count: int, labels: LabelSpace) -> None:
        self._count = count
        self._labels = labels
        self._kept: list[_Kept] = []

    def add(self, index: int, sample: Sample, prediction: NDArray[np.uint8], areas: Areas) -> None:
        """Consider one image; one without scored pixels is passed over."""
        own = scores(areas)
        if own.miou != own.miou:
            return
        kept = _Kept(-own.miou, -index, sample, prediction, own)
        if len(self._kept) < self._count:
            heapq.heappush(self._kept, kept)
        elif kept[:2] > self._kept[0][:2]:
            heapq.heapreplace(self._kept, kept)

    def write(self, folder: Path) -> list[dict[str, Any]]:
        """Write a picture of each and ``worst.json``.

        A picture shows image, truth, prediction and difference: wrong pixels red, pixels that are not scored black.

        Returns:
            The content of ``worst.json``: worst first.

        Raises:
            SegkdError: if a file cannot be written.
        """
        rows = []
        for rank, kept in enumerate(sorted(self._kept, key=lambda kept: kept[:2], reverse=True), 1):
            name = f"{rank:03d}_{kept.sample.id.replace('/', '_')}.png"
            write_png(folder / name, side_by_side(kept.sample, kept.prediction, self._labels))

            scored = kept.sample.mask != self._labels.ignore
            wrong = int(np.count_nonzero(scored & (kept.prediction != kept.sample.mask)))
            per_class = dict(zip(self._labels.names, kept.own.iou, strict=True))
            rows.append(
                {
                    "rank": rank,
                    "id": kept.sample.id,
                    "file": name,
                    "miou": kept.own.miou,
                    "aacc": kept.own.aacc,
                    "wrong_pixels": wrong,
                    "scored_pixels": int(np.count_nonzero(scored)),
                    "per_class": {key: value for key, value in per_class.items() if value == value},
                }
            )

        write_json(folder / "worst.json", rows)
        return [finite(row) for row in rows]


def side_by_side(sample: Sample, prediction: NDArray[np.uint8], labels: LabelSpace) -> NDArray[np.uint8]:
    """Image, truth, prediction and difference beside each other, uint8 BGR (H, 4 W + 3 gaps, 3)."""
    palette = np.zeros((256, 1, 3), np.uint8)
    palette[: labels.num_classes, 0] = np.array(labels.palette, np.uint8)[:, ::-1]
    image = cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR)
    truth, predicted = (cv2.LUT(cv2.merge([values] * 3), palette) for values in (sample.mask, prediction))
    ignored = sample.mask == labels.ignore
    difference = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    difference[(prediction != sample.mask) & ~ignored] = _WRONG
    difference[ignored] = _IGNORED
    gap = np.full((image.shape[0], _GAP_PX, 3), 255, np.uint8)
    return np.hstack([image, gap, truth, gap, predicted, gap, difference])
