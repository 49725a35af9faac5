"""Video files in and out through OpenCV, which reports neither damage nor a full disk by itself."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.data.formats.decode import DamagedFileError
from segkd.errors import SegkdError, unknown_name
from segkd.files.unfinished import unfinished
from segkd_deploy.inference.video_header import records_its_frames

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
# Name -> OpenCV's four letters. The first two play in browsers; the wheels of OpenCV have no H.264.
CODECS: dict[str, str] = {"h264": "avc1", "vp9": "vp09", "mpeg4": "mp4v"}
AUTO = "auto"
# Files that were still being written when their header was end a little early.
_MISSING_FRAMES, _MISSING_SHARE = 2, 0.01


class VideoReader:
    """The frames of a video file, in order; a context manager.

    Args:
        path: the file.

    Attributes:
        fps: frames per second; None if the file does not say.
        count: frames that the file says it has, or that its duration lets one guess; None without either.
        recorded: whether ``count`` was written down by who made the file, and is no guess.
        time_s: when the last frame that was read is shown; None before the first, or if that is not known.
        note: what there is to say after the last frame; None if nothing.

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
        self.recorded = self.count is not None and records_its_frames(path)
        self.time_s: float | None = None
        self.note: str | None = None

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
            DamagedFileError: after the last frame, if it came more than 2 frames and 1 % before the recorded number;
                damage inside a frame is hidden by the decoder.
        """
        import cv2

        read = 0
        while True:
            there, frame = self._capture.read()
            if not there:
                break
            read += 1
            time_ms = float(self._capture.get(cv2.CAP_PROP_POS_MSEC))
            self.time_s = time_ms / 1e3 if math.isfinite(time_ms) else None
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        self._check_end(read)

    def _check_end(self, read: int) -> None:
        """Say it if frames are missing: an error where their number was recorded, else a note."""
        if read == 0:
            raise DamagedFileError(self._path, "no frame of it can be decoded")
        if self.count is None or self.count - read <= max(_MISSING_FRAMES, _MISSING_SHARE * self.count):
            return
        if self.recorded:
            raise DamagedFileError(self._path, f"ends after {read} of {self.count} frames; it is damaged or cut short")
        self.note = (
            f"{self._path.name} has {read} frames; its duration and nominal rate would give {self.count}, so its rate "
            "varies or it is cut short"
        )


class VideoWriter:
    """Writes an MP4 file that appears under its name when it is whole; a context manager.

    OpenCV leaves out the last column or row of frames with odd sides.

    Args:
        path: the file.
        fps: frames per second.
        size_px: height and width of the frames.
        codec: a key of ``CODECS``, or ``auto`` for the first that this OpenCV can write.

    Attributes:
        codec: the key of ``CODECS`` that is used.

    Raises:
        SegkdError: if it cannot be written.
    """

    def __init__(self, path: Path, fps: float, size_px: tuple[int, int], codec: str = AUTO) -> None:
        self._path, self._size_px, self._written = path, size_px, 0
        check_codec(codec)
        self._hidden = ExitStack()
        try:
            self._temporary = self._hidden.enter_context(unfinished(path, ending=path.suffix))
        except OSError as error:
            raise SegkdError(f"{path}: cannot be written ({error.strerror})") from error
        names = list(CODECS) if codec == AUTO else [codec]
        for self.codec in names:
            self._writer = self._open(CODECS[self.codec], fps)
            if self._writer is not None:
                return
        self._hidden.close()
        raise SegkdError(
            f"{path}: this OpenCV cannot write {' or '.join(names)} there; check that the folder can be written, name "
            f"another --codec ({', '.join(CODECS)}), or use --labels-only"
        )

    def __enter__(self) -> VideoWriter:
        """The writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the file its name; after an error, remove it."""
        assert self._writer is not None
        self._writer.release()
        with self._hidden:
            if error is not None:
                return
            there = _frame_count(self._temporary)
            if there != self._written:
                raise SegkdError(f"{self._path}: {there} of {self._written} frames were written; is the disk full?")
            os.replace(self._temporary, self._path)

    def write(self, frame: NDArray[np.uint8], times: int = 1) -> None:
        """Append a frame, uint8 RGB (height, width, 3).

        Args:
            frame: the frame.
            times: how often.

        Raises:
            SegkdError: if it has another size than the first; OpenCV would drop it.
        """
        import cv2

        if frame.shape[:2] != self._size_px:
            raise SegkdError(f"{self._path}: frame {self._written} is {frame.shape[:2]}, those before {self._size_px}")
        assert self._writer is not None
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        for _ in range(times):
            self._writer.write(bgr)
        self._written += times

    def _open(self, letters: str, fps: float) -> Any | None:
        """OpenCV's writer, or None if it cannot write this codec here."""
        import cv2

        height_px, width_px = self._size_px
        writer = cv2.VideoWriter(str(self._temporary), cv2.VideoWriter.fourcc(*letters), fps, (width_px, height_px))
        if writer.isOpened():
            return writer
        return None


def check_codec(codec: str) -> None:
    """Refuse a name that is no codec.

    Raises:
        SegkdError: for any other than ``auto`` and the keys of ``CODECS``.
    """
    if codec != AUTO and codec not in CODECS:
        raise unknown_name("codec", codec, [AUTO, *CODECS])


def _frame_count(path: Path) -> int:
    try:
        with VideoReader(path) as reader:
            return reader.count or 0
    except DamagedFileError:
        return 0


def _positive(value: float) -> float | None:
    return value if math.isfinite(value) and value > 0 else None
