"""What a reference holds: the contract between export, which records it, and whoever compares a graph with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What -> its file in an artifact's folder ``reference``.
FILES = {
    "frames": "frames.npy",
    "truth": "truth.npy",
    "student": "student.npy",
    "margins": "student_margin.npy",
    "logits": "student_logits.npy",
    "response": "student_response.npy",
    "teacher": "teacher.npy",
}
IDS = "ids.json"

# Contrast of the frames that a network's response is recorded at.
GAIN = 0.5


@dataclass(frozen=True)
class Reference:
    """The recorded frames and what was said of them when the graphs were made.

    Attributes:
        frames: uint8 as the graph takes them, RGB (N, height, width, 3) unless the manifest says otherwise.
        truth: uint8 (N, height, width) at the size of the graph's labels, 255 = ignore.
        student: uint8 (N, height, width), labels of the source network.
        margins: float16 (N, height, width), its largest minus its second largest logit.
        teacher: uint8 (N, height, width), labels of the teacher; None if there was none.
        ids: names of the frames.
        logits: float16 (N, K, h, w), the source's, not upsampled; None in artifacts of older versions.
        contrast_response: float32 (N,), how much they change at half the contrast; None in artifacts of older versions.
    """

    frames: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    student: NDArray[np.uint8]
    margins: NDArray[np.float16]
    teacher: NDArray[np.uint8] | None
    ids: list[str]
    logits: NDArray[np.float16] | None = None
    contrast_response: NDArray[np.float32] | None = None


def relative_l2(logits: NDArray[Any], source: NDArray[Any]) -> float:
    """Norm of the difference over the norm of the source; nan where logits are not finite."""
    difference = float(np.linalg.norm(np.subtract(logits, source, dtype=np.float64)))
    return float(difference / max(float(np.linalg.norm(source.astype(np.float64))), np.finfo(np.float64).tiny))


def as_recorded(logits: NDArray[Any]) -> NDArray[np.float16]:
    """Logits as a reference keeps them: half precision, cut at its ends."""
    end = float(np.finfo(np.float16).max)
    return np.asarray(np.clip(logits, -end, end), np.float16)


def contrast_response(logits: NDArray[np.floating], half: NDArray[np.floating]) -> NDArray[np.float32]:
    """How much logits (N, K, h, w) change at half the contrast: relative L2 of each frame, float32 (N,)."""
    return np.array([relative_l2(b, a) for a, b in zip(logits, half, strict=True)], np.float32)
