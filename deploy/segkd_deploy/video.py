"""Video files in and out through OpenCV, which reports neither damage nor a full disk by itself."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.data.decode import DamagedFileError
from segkd.errors import SegkdError

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
CODEC = "mp4v"
# Containers that say a duration and not a number of frames are off by a few.
_MISSING_FRAMES, _MISSING_SHARE = 2, 0.01


class VideoReader:
    """The frames of a video file, in order; a context manager.

    Args:
        path: the file.

    Attributes:
        fps: frames per second; None if the file does not say.
        count: frames that the file says it has; None if it does not say.

    Raises:
        DamagedFileError: if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        import cv2

        if not path.is_file():
            raise DamagedFileError(path, "cannot be read: no such file")
        self._path = path
        self._capture: Any = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise DamagedFileError(path, "not a video that can be decoded (damaged, or a codec that OpenCV lacks)")
        self.fps = _positive(self._capture.get(cv2.CAP_PROP_FPS))
        count = _positive(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.count = None if count is None else round(count)

    def __enter__(self) -> VideoReader:
        """The reader."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._capture.release()

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """uint8 RGB (height, width, 3) each.

        Raises:
            DamagedFileError: after the last frame, if it came more than 2 frames and 1 % too early; damage inside a
                frame is hidden by the decoder.
        """
        import cv2

        read = 0
        while True:
            there, frame = self._capture.read()
            if not there:
                break
            read += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        if read == 0:
            raise DamagedFileError(self._path, "no frame of it can be decoded")
        if self.count is not None and self.count - read > max(_MISSING_FRAMES, _MISSING_SHARE * self.count):
            raise DamagedFileError(self._path, f"ends after {read} of {self.count} frames; it is damaged or cut short")


class VideoWriter:
    """Writes an MP4 file that appears under its name when it is whole; a context manager.

    OpenCV leaves out the last column or row of frames with odd sides.

    Args:
        path: the file.
        fps: frames per second.
        size_px: height and width of the frames.

    Raises:
        SegkdError: if it cannot be written.
    """

    def __init__(self, path: Path, fps: float, size_px: tuple[int, int]) -> None:
        import cv2

        self._path, self._size_px, self._written = path, size_px, 0
        self._temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SegkdError(f"{path}: cannot be written ({error.strerror})") from error
        height_px, width_px = size_px
        self._writer: Any = cv2.VideoWriter(
            str(self._temporary), cv2.VideoWriter.fourcc(*CODEC), fps, (width_px, height_px)
        )
        if not self._writer.isOpened():
            self._temporary.unlink(missing_ok=True)
            raise SegkdError(
                f"{path}: this OpenCV cannot write {CODEC} there; check that the folder can be written, or use "
                "--labels-only"
            )

    def __enter__(self) -> VideoWriter:
        """The writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the file its name; after an error, remove it."""
        self._writer.release()
        if error is not None:
            self._temporary.unlink(missing_ok=True)
            return
        there = _frame_count(self._temporary)
        if there != self._written:
            self._temporary.unlink(missing_ok=True)
            raise SegkdError(f"{self._path}: {there} of {self._written} frames were written; is the disk full?")
        os.replace(self._temporary, self._path)

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame, uint8 RGB (height, width, 3).

        Raises:
            SegkdError: if it has another size than the first; OpenCV would drop it.
        """
        import cv2

        if frame.shape[:2] != self._size_px:
            raise SegkdError(f"{self._path}: frame {self._written} is {frame.shape[:2]}, those before {self._size_px}")
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self._written += 1


def _frame_count(path: Path) -> int:
    try:
        with VideoReader(path) as reader:
            return reader.count or 0
    except DamagedFileError:
        return 0


def _positive(value: float) -> float | None:
    return value if math.isfinite(value) and value > 0 else None
