"""A video to an overlay video, or to one label PNG per frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import DataFileError
from segkd_deploy.inference.frame_slots import FrameSlots
from segkd_deploy.inference.model import Model
from segkd_deploy.inference.predict_files import LABELS, OVERLAY, Options, Tally, overlay, skip, write_picture
from segkd_deploy.inference.video import VideoReader, VideoWriter

# Of a video that does not say its own.
DEFAULT_FPS = 25.0
_NO_BROWSER = (
    "is MPEG-4 part 2, which browsers and many editors do not play; `ffmpeg -i {name} -c:v libx264 -pix_fmt yuv420p "
    "OTHER.mp4` makes H.264"
)


def predict_video(
    model: Model,
    path: Path,
    out: Path,
    options: Options,
    tally: Tally,
    progress: Callable[[int, int | None], None],
) -> None:
    """Label every frame; ``tally`` gets what was done.

    The overlay has a constant rate: where frames come unevenly they are repeated or left out, so that it is as long as
    the video.

    Raises:
        SegkdError: for a damaged file unless it may be skipped, or if something cannot be written.
    """
    with ExitStack() as stack:
        try:
            reader = stack.enter_context(VideoReader(path))
        except DataFileError as error:
            skip(error, options, tally)
            return
        if reader.fps is None:
            tally.notes.append(f"{path} does not say its frames per second; {DEFAULT_FPS:g} were written")
        count = reader.count if reader.recorded else None
        sink = _Labels(out / LABELS / path.stem) if options.labels_only else _Overlay(out, path, model, options, stack)
        tally.written.append(sink.place)

        for index, image in enumerate(_timed(reader.frames(), options, tally)):
            labels = tally.label(model, image)
            start_s = time.perf_counter()
            sink.add(image, labels, reader)
            tally.seconds["write"] += time.perf_counter() - start_s
            progress(index + 1, count)
        tally.notes += [note for note in (reader.note, *sink.notes()) if note is not None]


class _Labels:
    """One PNG per frame, named by its number from 0."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._count = 0

    def add(self, image: NDArray[np.uint8], labels: NDArray[np.uint8], reader: VideoReader) -> None:
        write_picture(self.place / f"{self._count:06d}.png", labels)
        self._count += 1

    def notes(self) -> list[str | None]:
        return []


class _Overlay:
    """A video; its writer opens with the first frame, whose size it has."""

    def __init__(self, out: Path, path: Path, model: Model, options: Options, stack: ExitStack) -> None:
        self.place = out / OVERLAY / f"{path.stem}.mp4"
        self._model, self._options, self._stack = model, options, stack
        self._writer: VideoWriter | None = None
        self._slots: FrameSlots | None = None
        self._before: NDArray[np.uint8] | None = None

    def add(self, image: NDArray[np.uint8], labels: NDArray[np.uint8], reader: VideoReader) -> None:
        if self._slots is None or self._writer is None:
            self._slots = FrameSlots(reader.fps, DEFAULT_FPS)
            size_px = (image.shape[0], image.shape[1])
            writer = VideoWriter(self.place, self._slots.fps, size_px, self._options.codec)
            self._writer = self._stack.enter_context(writer)

        repeats, written = self._slots.next(reader.time_s)
        if repeats and self._before is not None:
            self._writer.write(self._before, repeats)
        if written:
            self._before = overlay(image, self._model.colour(labels), self._options.alpha)
            self._writer.write(self._before)

    def notes(self) -> list[str | None]:
        if self._slots is None or self._writer is None:
            return []
        plain = f"{self.place.name} {_NO_BROWSER.format(name=self.place)}" if self._writer.codec == "mpeg4" else None
        return [self._slots.note(), plain]


def _timed(frames: Iterator[NDArray[np.uint8]], options: Options, tally: Tally) -> Iterator[NDArray[np.uint8]]:
    """The frames, with the time that reading them took; ends where a damaged video ends, if that may be."""
    while True:
        start_s = time.perf_counter()
        try:
            frame = next(frames, None)
        except DataFileError as error:
            skip(error, options, tally)
            return
        if frame is None:
            return
        tally.seconds["read"] += time.perf_counter() - start_s
        yield frame
