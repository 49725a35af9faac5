"""PASCAL Context's annotations as one file, ``trainval_merged.json`` of PASCAL in Detail.

Of its keys these are read:

    images: [{image_id, file_name, phase: train|val, height, width}, ...]
    annos_segmentation: [{image_id, category_id, segmentation: {size: [height, width], counts}}, ...]

``category_id`` is one of the 459 numbers; where annotations overlap, the later one wins, as in the detail API.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import DataFileError
from segkd.data.formats.run_length import decode_runs
from segkd.errors import SegkdError
from segkd.files import read_json

# The published file has some hundreds of MB.
_ANNOTATION_BYTES = 4 << 30


class Annotated(NamedTuple):
    """One image: its size, and (number, run lengths) of each annotation in order."""

    height_px: int
    width_px: int
    parts: list[tuple[int, Any]]


def read_annotations(path: Path, split: str) -> dict[str, Annotated]:
    """The annotations of a split, by image name.

    Raises:
        SegkdError: naming the file, if it is no JSON of this form.
    """
    document = read_json(path, _ANNOTATION_BYTES)
    try:
        images = {image["image_id"]: image for image in document["images"] if image["phase"] == split}
        found = {key: Annotated(int(image["height"]), int(image["width"]), []) for key, image in images.items()}
        for part in document["annos_segmentation"]:
            if part["image_id"] in found:
                found[part["image_id"]].parts.append((int(part["category_id"]), part["segmentation"]["counts"]))
        return {Path(images[key]["file_name"]).stem: annotated for key, annotated in found.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise SegkdError(f"{path}: not trainval_merged.json of PASCAL in Detail ({error!r})") from None


def draw(annotated: Annotated, path: Path, name: str) -> NDArray[np.uint16]:
    """The numbers of one image: uint16, (height, width), 0 where nothing is annotated.

    Args:
        annotated: the image.
        path: the JSON file, for the error.
        name: the image's name, for the error.

    Raises:
        DataFileError: if an annotation does not fit the image.
    """
    numbers = np.zeros((annotated.height_px, annotated.width_px), np.uint16)
    for number, counts in annotated.parts:
        try:
            numbers[decode_runs(counts, *numbers.shape)] = number
        except (ValueError, TypeError) as error:
            raise DataFileError(path, f"image {name}: category {number}: {error}") from None
    return numbers
