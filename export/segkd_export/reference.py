"""Reference frames with truth and the labels of both networks: a device compares without torch or the data set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from segkd.data.base import Dataset
from segkd.errors import SegkdError
from segkd_distill.models.segmenter import Segmenter
from segkd_export.graph import to_image

LARGEST_MARGIN = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Frames:
    """Frames of a data set at the graph's size.

    Attributes:
        images: uint8 RGB (N, height, width, 3).
        truth: uint8 class indices (N, height, width), 255 = ignore.
        ids: their names in the data set.
    """

    images: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    ids: list[str]


@dataclass(frozen=True)
class Prediction:
    """What a torch network says of frames.

    Attributes:
        labels: uint8 class indices (N, height, width).
        margin: float16 (N, height, width), largest minus second largest upsampled logit.
        logits: float32 (N, K, h, w), not upsampled.
    """

    labels: NDArray[np.uint8]
    margin: NDArray[np.float16]
    logits: NDArray[np.float32]


def pick_indices(total: int, count: int) -> list[int]:
    """``count`` indices spread evenly over ``range(total)``, or all of them if there are fewer."""
    count = min(total, count)
    return [index * total // count for index in range(count)]


def read_frames(dataset: Dataset, count: int, imgsz: tuple[int, int]) -> Frames:
    """Frames spread over a data set; other sizes than the graph's are resized, images bilinear, masks nearest.

    Args:
        dataset: a data set with masks.
        count: how many frames; all if the data set has fewer.
        imgsz: height and width in pixels.

    Raises:
        SegkdError: if the data set has no masks, or a file cannot be read.
    """
    if not dataset.has_masks:
        raise SegkdError("reference frames need truth, but this data set has no masks; name a labelled one with --data")
    samples = [dataset.read(index) for index in pick_indices(len(dataset), count)]
    return Frames(
        np.stack([_resize(sample.image, imgsz, smooth=True) for sample in samples]),
        np.stack([_resize(sample.mask, imgsz, smooth=False) for sample in samples]),
        [sample.id for sample in samples],
    )


def predict(segmenter: Segmenter, images: NDArray[np.uint8], device: torch.device) -> Prediction:
    """Label frames one by one with a torch network in float32, without TF32.

    Args:
        segmenter: a network in eval mode; it is moved to ``device``.
        images: uint8 RGB (N, height, width, 3).
        device: where to run it.
    """
    segmenter = segmenter.to(device)
    labels, margins, logits = [], [], []
    with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
        for image in images:
            low = segmenter(to_image(torch.from_numpy(image)[None].to(device))).logits.float()
            scores = segmenter.upsample(low, (image.shape[0], image.shape[1]))
            top = scores.topk(min(2, scores.shape[1]), dim=1).values
            margin = top[:, 0] - top[:, 1] if top.shape[1] == 2 else torch.full_like(top[:, 0], LARGEST_MARGIN)
            labels.append(scores.argmax(dim=1).to(torch.uint8).cpu().numpy())
            margins.append(margin.clamp(max=LARGEST_MARGIN).to(torch.float16).cpu().numpy())
            logits.append(low.cpu().numpy())
    return Prediction(np.concatenate(labels), np.concatenate(margins), np.concatenate(logits))


def write_reference(
    folder: Path, frames: Frames, student: Prediction, teacher_labels: NDArray[np.uint8] | None
) -> dict[str, str]:
    """Write the arrays as plain ``.npy`` files and the names as ``ids.json``.

    Args:
        folder: a new folder.
        frames: the frames and their truth.
        student: the torch student on these frames.
        teacher_labels: uint8 (N, height, width), or None without a teacher.

    Returns:
        What -> file name, for the manifest.
    """
    folder.mkdir(parents=True)
    arrays: dict[str, tuple[str, NDArray[np.generic]]] = {
        "frames": ("frames.npy", frames.images),
        "truth": ("truth.npy", frames.truth),
        "student": ("student.npy", student.labels),
        "margins": ("student_margin.npy", student.margin),
    }
    if teacher_labels is not None:
        arrays["teacher"] = ("teacher.npy", teacher_labels)
    for name, array in arrays.values():
        np.save(folder / name, np.ascontiguousarray(array))
    (folder / "ids.json").write_text(json.dumps(frames.ids, indent=2) + "\n", encoding="utf-8")
    return {what: name for what, (name, _) in arrays.items()}


def _resize(pixels: NDArray[np.uint8], imgsz: tuple[int, int], *, smooth: bool) -> NDArray[np.uint8]:
    """Resize (height, width[, 3]) to ``imgsz``; unchanged if it already has that size."""
    import cv2

    if pixels.shape[:2] == imgsz:
        return pixels
    resized = cv2.resize(
        pixels, (imgsz[1], imgsz[0]), interpolation=cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST_EXACT
    )
    return np.asarray(resized, dtype=np.uint8)
