"""Plain frames without masks, for distillation on unlabelled data and for prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Dataset, Problem
from segkd.data.formats.decode import IMAGE_SUFFIXES, read_rgb
from segkd.data.layout.pairing import by_name, left_out, relative_name
from segkd.data.layout.walk import walk
from segkd.errors import SegkdError


class Images(Dataset):
    """All pictures below a folder: ``images:PATH``. They have no masks and no label space.

    Args:
        path: the folder.
        split: has no meaning here; every split is the whole folder.

    Raises:
        SegkdError: if there is no picture.
    """

    SPLITS = ("all",)
    CLASSES = "none: frames without masks"
    LAYOUT = ("**/*.{png,jpg,jpeg,bmp,webp}",)
    has_masks = False

    def __init__(self, path: Path, *, split: str = "val") -> None:
        found = walk(path)
        files = [file for file in found.files if file.suffix.lower() in IMAGE_SUFFIXES]
        if not files and not found.dangling:
            raise SegkdError(f"no pictures ({', '.join(IMAGE_SUFFIXES)}) in {path}")
        named, self.problems = by_name((relative_name(file, path), file) for file in files)
        self.problems += [
            Problem(link, "link whose target is not there; restore or remove it") for link in found.dangling
        ]
        self.remarks = left_out(found, path, IMAGE_SUFFIXES, "pictures")
        self.ids, self._images = list(named), list(named.values())

    def image_path(self, index: int) -> Path:
        """The file of an image."""
        return self._images[index]

    def mask_path(self, index: int) -> None:
        """None: there are no masks."""
        return None

    def read_image(self, index: int) -> NDArray[np.uint8]:
        """One image as uint8 RGB (height, width, 3)."""
        return read_rgb(self._images[index])

    def read_mask(self, index: int) -> NDArray[np.uint8]:
        """Raise: there are no masks."""
        raise SegkdError(
            f"{self._images[index]} has no mask: images: data sets hold plain frames; use folder: or cityscapes:"
        )
