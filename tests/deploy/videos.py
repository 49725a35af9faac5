"""Video files for the tests, lossless, so that every pixel of a frame is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def make_video(path: Path, frames: NDArray[np.uint8], fps: float = 10.0, codec: str = "FFV1") -> Path:
    """Write RGB frames (N, height, width, 3)."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (frames.shape[2], frames.shape[1]))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


def read_video(path: Path) -> NDArray[np.uint8]:
    """All frames, RGB (N, height, width, 3), with OpenCV alone."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = capture.read()
        if not there:
            return np.stack(frames)[..., ::-1].astype(np.uint8)
        frames.append(frame)
