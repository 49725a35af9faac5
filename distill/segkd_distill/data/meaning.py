"""What training data mean: refused where nothing can be learned, said in one line where scores mean less."""

from __future__ import annotations

import sys

import numpy as np

from segkd.data.base import IGNORE, DataFileError, Dataset
from segkd.data.checks.facts import facts_of
from segkd.data.formats.decode import DamagedFileError
from segkd.data.remarks import few_images
from segkd.data.stats import spread
from segkd.errors import SegkdError

LOOKED_AT = 8
"""Images whose files are looked at before a training; `segkd data check` looks at all."""


def require_two_classes(train: Dataset, skip_damaged: bool = False) -> None:
    """Refuse labelled images that hold fewer than two classes.

    Masks are read until two classes are seen: one or two, unless something is wrong.

    Args:
        train: labelled images.
        skip_damaged: whether files that cannot be decoded are passed over.

    Raises:
        SegkdError: naming the only class, or that no pixel has one.
    """
    seen: set[int] = set()
    for index in range(len(train)):
        try:
            seen |= set(np.unique(train.read_mask(index)).tolist()) - {IGNORE}
        except DamagedFileError:
            if not skip_damaged:
                raise
        if len(seen) > 1:
            return
    held = f"only the class {train.labels.names[seen.pop()]}" if seen else "no class: every pixel is 255 or ignored"
    raise SegkdError(
        f"the {len(train)} training masks hold {held}, so there is nothing to learn; masks of 0 and 255 need a class "
        "with id: 255 (`segkd data check` says more)"
    )


def say_what_scores_mean(val: Dataset, spec: str, train: Dataset) -> None:
    """Say on stderr, in one line, what changes the meaning of the scores, as far as a few files tell.

    Args:
        val: the validation images.
        spec: their data specification, for the words.
        train: the training images.
    """
    notes = [f"val has {few_images(len(val))}"] if few_images(len(val)) else []
    looks = [facts_of(train, index) for index in spread(len(train), LOOKED_AT)]
    for what, count in (
        ("have a fourth channel, which is left out", sum(look.fourth_channel for look in looks)),
        ("are turned upright by EXIF", sum(look.orientation != 1 for look in looks)),
        ("have 16 bits, of which 8 are kept", sum(look.largest_of_16_bits is not None for look in looks)),
    ):
        if count:
            notes.append(f"{count} of {len(looks)} training pictures looked at {what}")
    if not _has_label(val):
        notes.append("no pixel of val has a class, so that nothing is validated")
    if notes:
        print(f"note: {'; '.join(notes)} (`segkd data check {spec}` says more)", file=sys.stderr)


def say_what_a_crop_holds(crop: tuple[int, int], image_px: tuple[int, int]) -> None:
    """Say on stderr that a crop is larger than the pictures: what lies beyond them teaches nothing.

    Args:
        crop: height and width of what a step sees, in pixels.
        image_px: height and width of the first training image.
    """
    held = min(crop[0], image_px[0]) * min(crop[1], image_px[1]) / (crop[0] * crop[1])
    if held < 1:
        print(
            f"note: the crop of {crop[0]}x{crop[1]} is larger than the first training picture, "
            f"{image_px[0]}x{image_px[1]}: {1 - held:.0%} of it is padding without labels; "
            f"--imgsz {min(crop[0], image_px[0])}x{min(crop[1], image_px[1])} fits into it",
            file=sys.stderr,
        )


def _has_label(val: Dataset) -> bool:
    """Whether any validation pixel has a class; files that cannot be read are named when they are validated."""
    for index in range(len(val)):
        try:
            if (val.read_mask(index) != IGNORE).any():
                return True
        except DataFileError:
            return True
    return False
