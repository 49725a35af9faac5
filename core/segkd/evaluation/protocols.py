"""Whose rules make a number: what each community resizes, upsamples and averages.

Sources: mmsegmentation 1.2.2 (``mmseg/evaluation/metrics/iou_metric.py``, ``configs/_base_/datasets``);
winycg/CIRKD at 351400e (``eval.py``, ``utils/score.py``); AmirMansurian/AttnFD at b9ee23c (``train_kd.py``,
``dataloaders/datasets``; ``FixedResize`` is torchvision's ``Resize`` of the short side).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Sample
from segkd.errors import unknown_name
from segkd.metrics.scores import Absent

TestScale = tuple[int, int]


@dataclass(frozen=True)
class Protocol:
    """The rules of a community.

    Attributes:
        name: as on the command line.
        summary: one line for people.
        align_corners: how logits are upsampled; None for the network's own way.
        average: what scales and flips average.
        absent: what a class that is neither in the labels nor predicted adds to mIoU.
        test_scales: data set -> short side and limit of the long side of the network's input; others keep their size.
            Labels keep their size, and logits are upsampled to it.
        scored_short_px: short side to which image **and** labels are resized before anything else; None for none.
    """

    name: str
    summary: str
    align_corners: bool | None = None
    average: Literal["probabilities", "logits"] = "probabilities"
    absent: Absent = "skip"
    test_scales: tuple[tuple[str, TestScale], ...] = ()
    scored_short_px: int | None = None

    def test_scale(self, dataset: str) -> TestScale | None:
        """The published size of a data set's test images, None for their own."""
        return dict(self.test_scales).get(dataset)

    def prepare(self, sample: Sample) -> Sample:
        """The sample as the protocol shows it to the network and scores it."""
        if self.scored_short_px is None:
            return sample
        image = _resized_short_side(sample.image, self.scored_short_px, smooth=True)
        return Sample(image, _resized_short_side(sample.mask, self.scored_short_px, smooth=False), sample.id)


FULL = Protocol("full", "images and labels at their own size, mmsegmentation's means")

PROTOCOLS: dict[str, Protocol] = {
    "mmseg": Protocol(
        "mmseg",
        "mmsegmentation: the data set's test scale, labels at their own size, absent classes skipped",
        # Cityscapes (2048x1024) and CamVid (480x360) are tested at the size they have.
        test_scales=(
            ("ade20k", (512, 2048)),
            ("pascal_voc", (512, 2048)),
            ("pascal_context", (520, 520)),
            ("coco_stuff", (512, 2048)),
        ),
    ),
    "cirkd": Protocol(
        "cirkd",
        "CIRKD, Af-DCD: own size, align_corners, absent classes count as 0",
        align_corners=True,
        average="logits",
        absent="zero",
    ),
    "attnfd": Protocol(
        "attnfd",
        "AttnFD: image and labels resized to a short side of 513, absent classes skipped",
        scored_short_px=513,
    ),
}


def protocol_of(name: str | None) -> Protocol:
    """The protocol of a name; None for full resolution with mmsegmentation's means.

    Raises:
        SegkdError: for an unknown name.
    """
    if name is None or name == FULL.name:
        return FULL
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def two_thirds(crop: tuple[int, int]) -> tuple[int, int]:
    """The strides that mmsegmentation uses: 513 of 769, 341 of 512."""
    height_px, width_px = (max(1, round(2 * size / 3)) for size in crop)
    return height_px, width_px


def _resized_short_side(pixels: NDArray[np.uint8], short_px: int, *, smooth: bool) -> NDArray[np.uint8]:
    """Pillow's resize: bilinear with antialiasing for images, nearest for labels; the long side is rounded down."""
    from PIL import Image

    height_px, width_px = pixels.shape[:2]
    if min(height_px, width_px) == short_px:
        return pixels
    long_px = short_px * max(height_px, width_px) // min(height_px, width_px)
    size = (long_px, short_px) if width_px >= height_px else (short_px, long_px)
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(pixels).resize(size, method))
