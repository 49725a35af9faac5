"""What pictures and videos share when they are labelled: options, the tally, and pictures that are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import DataFileError
from segkd.errors import SegkdError
from segkd.files import write_atomic
from segkd_deploy.inference.model import Model
from segkd_deploy.inference.video import AUTO

LABELS, OVERLAY = "labels", "overlay"
STAGES = ("read", "pre", "infer", "post", "write")
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Options:
    """What is written.

    Attributes:
        alpha: how much of the overlay is the class colour, 0..1.
        labels_only: label PNGs and no overlay; for a video one PNG per frame.
        skip_damaged: go on after a file that cannot be decoded.
        codec: of an overlay video: ``h264``, ``vp9``, ``mpeg4``, or ``auto`` for the first that OpenCV can write.
    """

    alpha: float = 0.5
    labels_only: bool = False
    skip_damaged: bool = False
    codec: str = AUTO


@dataclass
class Tally:
    """What was done so far.

    Attributes:
        frames: labelled frames.
        resized: those that had another size than the graph's.
        seconds: of each stage, over all frames.
        skipped: files that could not be decoded, with what is wrong.
        notes: what else must be said.
        written: the files, or the folders of many files, that were written.
    """

    frames: int = 0
    resized: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    skipped: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)

    def label(self, model: Model, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label one RGB picture and count it."""
        labels = model.label_image(image)
        stages = model.last_stages
        if stages is not None:
            for name, spent_ms in (("pre", stages.pre_ms), ("infer", stages.infer_ms), ("post", stages.post_ms)):
                self.seconds[name] += spent_ms / 1e3
        self.frames += 1
        self.resized += image.shape[:2] != model.frame_px
        return labels


def skip(error: DataFileError, options: Options, tally: Tally) -> None:
    """Count a file that cannot be decoded.

    Raises:
        SegkdError: unless it may be skipped.
    """
    if not options.skip_damaged:
        raise SegkdError(f"{error}; remove it, or go on without it with --skip-damaged") from error
    tally.skipped.append({"path": str(error.problem.path), "what": error.problem.what})


def overlay(image: NDArray[np.uint8], colours: NDArray[np.uint8], alpha: float) -> NDArray[np.uint8]:
    """``(1 - alpha) * image + alpha * colours``, rounded.

    Args:
        image: uint8 RGB (height, width, 3).
        colours: the same shape, class colours.
        alpha: 0..1.
    """
    import cv2

    return np.asarray(cv2.addWeighted(image, 1 - alpha, colours, alpha, 0), np.uint8)


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write grey (H, W) or BGR (H, W, 3) in the form that the suffix names, PNG or JPEG.

    Raises:
        SegkdError: if it cannot be encoded or written.
    """
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if path.suffix == ".jpg" else []
    encoded, content = cv2.imencode(path.suffix, pixels, options)
    if not encoded:
        raise SegkdError(f"{path}: {pixels.shape} cannot be encoded as {path.suffix}")
    try:
        write_atomic(path, content.tobytes())
    except OSError as error:
        raise SegkdError(f"{path}: cannot be written ({error.strerror})") from error
