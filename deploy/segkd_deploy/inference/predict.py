"""Labels and overlays of a picture, a folder of pictures or a video, with the time that each stage took."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segkd.data.base import DataFileError
from segkd.data.formats.decode import IMAGE_SUFFIXES, read_rgb
from segkd.data.layout.pairing import by_name, relative_name, visible_files
from segkd.errors import SegkdError
from segkd_deploy.inference.model import Model
from segkd_deploy.inference.picture_notes import PictureNotes
from segkd_deploy.inference.predict_files import LABELS, OVERLAY, Options, Tally, overlay, skip, write_picture
from segkd_deploy.inference.predict_video import predict_video
from segkd_deploy.inference.video import SUFFIXES as VIDEO_SUFFIXES
from segkd_deploy.inference.video import check_codec

__all__ = ["Options", "overlay", "predict"]

SCHEMA = 1
_DEFAULTS = Options()


def predict(
    model: Model,
    source: Path,
    out: Path,
    options: Options = _DEFAULTS,
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
        What ``segkd predict --json`` prints: ``ms`` per frame of the stages ``read, pre, infer, post, write``,
        ``fps`` of ``infer`` alone, of ``labels`` (pre, infer and post), and of ``all``, and ``written``, the files or
        folders of files.

    Raises:
        SegkdError: for a source that is none, for a damaged file unless it may be skipped, or if nothing is left.
    """
    if not 0 <= options.alpha <= 1:
        raise SegkdError(f"alpha: expected 0 to 1, got {options.alpha:g}")
    check_codec(options.codec)
    _check_places(source, out)

    start_s = time.perf_counter()
    tally = Tally()
    if source.is_dir() or source.suffix.lower() in IMAGE_SUFFIXES:
        kind = "folder" if source.is_dir() else "image"
        _pictures(model, _picture_files(source), out, options, tally, progress)
        tally.written += _written(out, options, None if source.is_dir() else source.stem)
    elif source.suffix.lower() in VIDEO_SUFFIXES:
        kind = "video"
        predict_video(model, source, out, options, tally, progress)
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
        "written": [str(path) for path in tally.written],
        "frames": tally.frames,
        "resized": tally.resized,
        "skipped": tally.skipped,
        "notes": tally.notes,
        **_times(tally, time.perf_counter() - start_s),
        **model.describe(),
    }


def _check_places(source: Path, out: Path) -> None:
    """Refuse to write among the files that are read, or over them.

    Raises:
        SegkdError: naming both.
    """
    source_there = source.resolve()
    if source.is_dir() and out.resolve().is_relative_to(source_there):
        raise SegkdError(f"--out {out} lies inside {source}, whose pictures are read; name a folder elsewhere")
    for name in (LABELS, OVERLAY):
        if source_there.is_relative_to((out / name).resolve()):
            raise SegkdError(f"{source} lies in {out / name}, where this would be written; name another --out")


def _picture_files(source: Path) -> dict[str, Path]:
    """Name -> file."""
    if not source.is_dir():
        return {source.stem: source}
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
    notes = PictureNotes()
    for done, (name, path) in enumerate(files.items(), 1):
        start_s = time.perf_counter()
        try:
            image = read_rgb(path)
            notes.look(path)
        except DataFileError as error:
            skip(error, options, tally)
            progress(done, len(files))
            continue
        tally.seconds["read"] += time.perf_counter() - start_s

        labels = tally.label(model, image)
        start_s = time.perf_counter()
        write_picture(out / LABELS / f"{name}.png", labels)
        if not options.labels_only:
            blended = overlay(image, model.colour(labels), options.alpha)
            write_picture(out / OVERLAY / f"{name}.jpg", blended[..., ::-1])
        tally.seconds["write"] += time.perf_counter() - start_s
        progress(done, len(files))
    tally.notes += notes.lines()


def _written(out: Path, options: Options, name: str | None) -> list[Path]:
    """The files of one picture, or the folders of many."""
    labels, drawn = out / LABELS, out / OVERLAY
    if name is not None:
        labels, drawn = labels / f"{name}.png", drawn / f"{name}.jpg"
    return [labels] if options.labels_only else [labels, drawn]


def _times(tally: Tally, wall_s: float) -> dict[str, Any]:
    labels_s = sum(tally.seconds[name] for name in ("pre", "infer", "post"))
    per_s = {"infer": tally.seconds["infer"], "labels": labels_s, "all": wall_s}
    return {
        "seconds": wall_s,
        "ms": {name: 1e3 * spent_s / tally.frames for name, spent_s in tally.seconds.items()},
        "fps": {name: tally.frames / spent_s if spent_s else None for name, spent_s in per_s.items()},
    }
