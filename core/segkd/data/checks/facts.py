"""What is noted of every image while a data set is checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkd.data.base import DataFileError, Dataset, Problem
from segkd.data.formats.decode import read_bytes
from segkd.data.formats.exif import orientation
from segkd.data.formats.value_map import UndeclaredError
from segkd.data.formats.whole_file import pixels_of_png

_PNG, _RIFF = b"\x89PNG", b"RIFF"


@dataclass
class Facts:
    """Of one image and its mask.

    Attributes:
        path: the image's file.
        problems: what is wrong with the files.
        digest: of the pixels; None for an image that cannot be read.
        classes: pixels of each mask value 0..255 after the classes are looked up; None without a readable mask.
        undeclared: what the mask holds and the data set does not have.
        mask_px: pixels of the mask whose values are undeclared.
        orientation: of EXIF; 1 is upright.
        fourth_channel: whether the file has one that is left out.
        other_colours: what a palette paints in the colour of another class.
        largest_of_16_bits: the largest value of a picture of 16 bits; None for others.
    """

    path: Path
    problems: list[Problem] = field(default_factory=list)
    digest: bytes | None = None
    classes: NDArray[np.int64] | None = None
    undeclared: UndeclaredError | None = None
    mask_px: int = 0
    orientation: int = 1
    fourth_channel: bool = False
    other_colours: str = ""
    largest_of_16_bits: int | None = None


def facts_of(dataset: Dataset, index: int) -> Facts:
    """Read one image with its mask; both are looked at if neither can be read."""
    facts = Facts(dataset.image_path(index))
    shape = None
    try:
        image = dataset.read_image(index)
        shape = image.shape[:2]
        facts.digest = hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).digest()
        _look_at_file(facts)
    except DataFileError as error:
        facts.problems.append(error.problem)

    if not dataset.has_masks:
        return facts
    try:
        mask = dataset.read_mask(index)
        if shape is not None and mask.shape != shape:
            dataset.read(index)  # says what is wrong with the sizes
        facts.classes = np.bincount(mask.ravel(), minlength=256)
        facts.other_colours = _other_colours(dataset, index)
    except UndeclaredError as error:
        facts.undeclared, facts.mask_px = error, shape[0] * shape[1] if shape is not None else 0
        facts.problems.append(error.problem)
    except DataFileError as error:
        facts.problems.append(error.problem)

    return facts


def _other_colours(dataset: Dataset, index: int) -> str:
    """Words for a class number that the mask's palette paints in the declared colour of another class."""
    path = dataset.mask_path(index)
    if not dataset.declared or path is None:
        return ""
    with Image.open(path) as picture:
        if picture.mode != "P":
            return ""
        used = np.unique(np.asarray(picture)).tolist()
        painted = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3).tolist()

    of_colour = {colour: name for name, colour in dataset.declared.values()}
    for value in used:
        name, _ = dataset.declared.get(value, ("", None))
        other = of_colour.get(tuple(painted[value])) if value < len(painted) else None
        if name and other not in (None, name):
            return f"the number {value} ({name}) in the colour of {other}"
    return ""


def _look_at_file(facts: Facts) -> None:
    """Note what decoding to 8-bit RGB leaves out."""
    data = read_bytes(facts.path)
    facts.orientation = orientation(data)
    may_have_more = (data.startswith(_PNG) and (data[25] in (4, 6) or data[24] == 16)) or (
        data.startswith((_RIFF, b"BM"))
    )
    if not may_have_more:
        return
    data = pixels_of_png(data) if data.startswith(_PNG) else data
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None:
        return
    facts.fourth_channel = stored.ndim == 3 and stored.shape[2] == 4
    if stored.dtype == np.uint16:
        facts.largest_of_16_bits = int(stored.max())
