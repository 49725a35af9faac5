"""Labels and overlays of a picture, a folder of pictures or a video, with the time that each stage took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import DataFileError
from segkd.data.decode import IMAGE_SUFFIXES, read_rgb
from segkd.data.pairing import by_name, relative_name, visible_files
from segkd.errors import SegkdError
from segkd.files import write_atomic
from segkd_deploy.runtime import Model
from segkd_deploy.video import SUFFIXES as VIDEO_SUFFIXES
from segkd_deploy.video import VideoReader, VideoWriter

SCHEMA = 1
LABELS, OVERLAY = "labels", "overlay"
# Of a video that does not say its own.
DEFAULT_FPS = 25.0
STAGES = ("read", "pre", "infer", "post", "write")
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Options:
    """What is written.

    Attributes:
        alpha: how much of the overlay is the class colour, 0..1.
        labels_only: label PNGs and no overlay; for a video one PNG per frame.
        skip_damaged: go on after a file that cannot be decoded.
    """

    alpha: float = 0.5
    labels_only: bool = False
    skip_damaged: bool = False


@dataclass
class Tally:
    """What was done so far.

    Attributes:
        frames: labelled frames.
        resized: those that had another size than the graph's.
        seconds: of each stage, over all frames.
        skipped: files that could not be decoded, with what is wrong.
        notes: what else must be said.
    """

    frames: int = 0
    resized: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    skipped: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def predict(
    model: Model,
    source: Path,
    out: Path,
    options: Options = Options(),
    *,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Label everything in a source and write what was asked for.

    Pictures of another size than the graph's frame are resized, and their labels back; ``resized`` counts them.
    Pictures get ``OUT/labels/NAME.png`` (8 bit grey, class indices) and ``OUT/overlay/NAME.jpg``; a video gets
    ``OUT/overlay/NAME.mp4``, or with ``labels_only`` ``OUT/labels/NAME/FRAME.png``.

    Args:
        model: an open artifact.
        source: a picture, a folder of pictures (at any depth), or a video file.
        out: folder to write into.
        options: what is written.
        progress: called after every frame with the frames done and, if known, their number.

    Returns:
        What ``segkd predict --json`` prints: ``ms`` per frame of the stages ``read, pre, infer, post, write``, and
        ``fps`` of ``infer`` alone, of ``labels`` (pre, infer and post), and of ``all``.

    Raises:
        SegkdError: for a source that is none, for a damaged file unless it may be skipped, or if nothing is left.
    """
    if not 0 <= options.alpha <= 1:
        raise SegkdError(f"alpha: expected 0 to 1, got {options.alpha:g}")
    start_s = time.perf_counter()
    tally = Tally()
    if source.is_dir() or source.suffix.lower() in IMAGE_SUFFIXES:
        kind = "folder" if source.is_dir() else "image"
        _pictures(model, _picture_files(source, out), out, options, tally, progress)
    elif source.suffix.lower() in VIDEO_SUFFIXES:
        kind = "video"
        _video(model, source, out, options, tally, progress)
    else:
        known = ", ".join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
        raise SegkdError(f"{source}: expected a folder or a file of one of these: {known}")
    if tally.frames == 0:
        raise SegkdError(f"{source}: nothing could be decoded; {len(tally.skipped)} damaged")
    return {
        "schema": SCHEMA,
        "input": str(source),
        "kind": kind,
        "out": str(out),
        "frames": tally.frames,
        "resized": tally.resized,
        "skipped": tally.skipped,
        "notes": tally.notes,
        **_times(tally, time.perf_counter() - start_s),
        **model.describe(),
    }


def overlay(image: NDArray[np.uint8], colours: NDArray[np.uint8], alpha: float) -> NDArray[np.uint8]:
    """``(1 - alpha) * image + alpha * colours``, rounded.

    Args:
        image: uint8 RGB (height, width, 3).
        colours: the same shape, class colours.
        alpha: 0..1.
    """
    import cv2

    return np.asarray(cv2.addWeighted(image, 1 - alpha, colours, alpha, 0), np.uint8)


def _picture_files(source: Path, out: Path) -> dict[str, Path]:
    """Name -> file."""
    if not source.is_dir():
        return {source.stem: source}
    if out.resolve().is_relative_to(source.resolve()):
        raise SegkdError(f"--out {out} lies inside {source}, whose pictures are read; name a folder elsewhere")
    files = visible_files(source, IMAGE_SUFFIXES)
    if not files:
        videos = visible_files(source, VIDEO_SUFFIXES)
        hint = f"; name one video, as {videos[0]}" if videos else ""
        raise SegkdError(f"{source}: no pictures ({', '.join(IMAGE_SUFFIXES)}) in it{hint}")
    named, problems = by_name((relative_name(file, source), file) for file in files)
    if problems:
        raise SegkdError(f"{problems[0].path} {problems[0].what}")
    return named


def _pictures(
    model: Model,
    files: dict[str, Path],
    out: Path,
    options: Options,
    tally: Tally,
    progress: Callable[[int, int | None], None],
) -> None:
    for done, (name, path) in enumerate(files.items(), 1):
        start_s = time.perf_counter()
        try:
            image = read_rgb(path)
        except DataFileError as error:
            _skip(error, options, tally)
            progress(done, len(files))
            continue
        tally.seconds["read"] += time.perf_counter() - start_s
        labels = _label(model, image, tally)
        start_s = time.perf_counter()
        _write_picture(out / LABELS / f"{name}.png", labels)
        if not options.labels_only:
            blended = overlay(image, model.colour(labels), options.alpha)
            _write_picture(out / OVERLAY / f"{name}.jpg", blended[..., ::-1])
        tally.seconds["write"] += time.perf_counter() - start_s
        progress(done, len(files))


def _video(
    model: Model,
    path: Path,
    out: Path,
    options: Options,
    tally: Tally,
    progress: Callable[[int, int | None], None],
) -> None:
    with ExitStack() as stack:
        try:
            reader = stack.enter_context(VideoReader(path))
        except DataFileError as error:
            _skip(error, options, tally)
            return
        if reader.fps is None:
            tally.notes.append(f"{path} does not say its frames per second; {DEFAULT_FPS:g} were written")
        writer: VideoWriter | None = None
        for index, image in enumerate(_timed(reader.frames(), options, tally)):
            labels = _label(model, image, tally)
            start_s = time.perf_counter()
            if options.labels_only:
                _write_picture(out / LABELS / path.stem / f"{index:06d}.png", labels)
            else:
                if writer is None:
                    size_px = (image.shape[0], image.shape[1])
                    target = out / OVERLAY / f"{path.stem}.mp4"
                    writer = stack.enter_context(VideoWriter(target, reader.fps or DEFAULT_FPS, size_px))
                writer.write(overlay(image, model.colour(labels), options.alpha))
            tally.seconds["write"] += time.perf_counter() - start_s
            progress(index + 1, reader.count)


def _timed(frames: Iterator[NDArray[np.uint8]], options: Options, tally: Tally) -> Iterator[NDArray[np.uint8]]:
    """The frames, with the time that reading them took; ends where a damaged video ends, if that may be."""
    while True:
        start_s = time.perf_counter()
        try:
            frame = next(frames, None)
        except DataFileError as error:
            _skip(error, options, tally)
            return
        if frame is None:
            return
        tally.seconds["read"] += time.perf_counter() - start_s
        yield frame


def _skip(error: DataFileError, options: Options, tally: Tally) -> None:
    if not options.skip_damaged:
        raise SegkdError(f"{error}; remove it, or go on without it with --skip-damaged") from error
    tally.skipped.append({"path": str(error.problem.path), "what": error.problem.what})


def _label(model: Model, image: NDArray[np.uint8], tally: Tally) -> NDArray[np.uint8]:
    labels = model.label_image(image)
    stages = model.last_stages
    if stages is not None:
        for name, spent_ms in (("pre", stages.pre_ms), ("infer", stages.infer_ms), ("post", stages.post_ms)):
            tally.seconds[name] += spent_ms / 1e3
    tally.frames += 1
    tally.resized += image.shape[:2] != model.frame_px
    return labels


def _write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write grey (H, W) or BGR (H, W, 3) in the form that the suffix names."""
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if path.suffix == ".jpg" else []
    encoded, content = cv2.imencode(path.suffix, pixels, options)
    if not encoded:
        raise SegkdError(f"{path}: {pixels.shape} cannot be encoded as {path.suffix}")
    try:
        write_atomic(path, content.tobytes())
    except OSError as error:
        raise SegkdError(f"{path}: cannot be written ({error.strerror})") from error


def _times(tally: Tally, wall_s: float) -> dict[str, Any]:
    labels_s = sum(tally.seconds[name] for name in ("pre", "infer", "post"))
    per_s = {"infer": tally.seconds["infer"], "labels": labels_s, "all": wall_s}
    return {
        "seconds": wall_s,
        "ms": {name: 1e3 * spent_s / tally.frames for name, spent_s in tally.seconds.items()},
        "fps": {name: tally.frames / spent_s if spent_s else None for name, spent_s in per_s.items()},
    }
