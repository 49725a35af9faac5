"""A folder of images, masks and ``classes.yaml``: the form for data of one's own.

    {root}/classes.yaml            what the mask values mean (:mod:`segkd.data.layout.classes_file`)
    {root}/images/**/NAME.jpg      png, jpg, jpeg, bmp or webp
    {root}/masks/**/NAME.png       the same name: grey or palette file of class numbers, or RGB file of class colours;
                                   png, bmp, tif, tiff or gif

Where ``images/train`` and ``images/val`` exist (and ``masks/train``, ``masks/val``; also ``training``, ``valid``,
``validation``, in any case), they are the splits. Otherwise a hash of the name sends each image to one of them, so that
images that come later move none of the others; folders that look like splits are never pooled unasked.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import DataFileError, Dataset, Problem
from segkd.data.formats.decode import IMAGE_SUFFIXES, MASK_SUFFIXES, read_label_values, read_rgb
from segkd.data.layout.classes_file import read_classes
from segkd.data.layout.looks_like import hint
from segkd.data.layout.pairing import left_out, pair_by_name, relative_name
from segkd.data.layout.split_folders import find_split, has_splits, refuse_hidden_splits
from segkd.data.layout.walk import Walk, walk
from segkd.data.remarks import MIN_INTERVAL_IMAGES
from segkd.errors import SegkdError, unknown_name

DEFAULT_VAL_FRACTION = 0.1


class Folder(Dataset):
    """Images and masks of one's own: ``folder:PATH[,val_fraction=0.1][,mask_suffix=_mask][,image_suffix=_img]``.

    Args:
        path: the folder that holds ``images``, ``masks`` and ``classes.yaml``.
        split: ``train`` or ``val``, without split folders also ``all``; with them, the name of any such folder.
        val_fraction: the share of images in ``val``, above 0 and below 1; only without split folders.
        mask_suffix: what follows an image's name in the name of its mask: ``_mask`` for ``a.jpg`` and ``a_mask.png``.
        image_suffix: what an image's name has and its mask's has not: ``_img`` for ``a_img.jpg`` and ``a.png``.

    Raises:
        SegkdError: if a folder or ``classes.yaml`` is missing or wrong, or the split has no image.
    """

    OPTIONS = frozenset({"val_fraction", "mask_suffix", "image_suffix"})
    CLASSES = "as in classes.yaml"
    LAYOUT = ("images/**/*.jpg (or png, bmp, webp)", "masks/**/*.png (or bmp, tif, gif)", "classes.yaml")

    def __init__(
        self,
        path: Path,
        *,
        split: str = "val",
        val_fraction: str | float | None = None,
        mask_suffix: str = "",
        image_suffix: str = "",
    ) -> None:
        images, masks = path / "images", path / "masks"
        _require_folders(path, images, masks)
        self._classes_path = path / "classes.yaml"
        self._classes = read_classes(self._classes_path)
        self.labels, self.declared = self._classes.labels, self._classes.declared

        # Folders that are splits, or a hash of the names.
        of_hash = None
        if has_splits(images):
            if val_fraction is not None:
                raise SegkdError(f"val_fraction has no use for {path}: the folders of {images} are the splits")
            images, masks = find_split(images, masks, split)
        else:
            if split not in ("train", "val", "all"):
                raise unknown_name("split", split, ("train", "val", "all"))
            of_hash = _HashSplit(split, _fraction(val_fraction))
            self.form = of_hash.form
        found, found_masks = walk(images), walk(masks)
        if of_hash is not None and val_fraction is None and split != "all":
            refuse_hidden_splits(images, found.files)

        # Pairs, and what is left out.
        self.ids, self._images, self._masks, self.problems = pair_by_name(
            _named(found, images, IMAGE_SUFFIXES, image_suffix, of_hash),
            _named(found_masks, masks, MASK_SUFFIXES, mask_suffix, of_hash),
            mask_form=f"{masks}/{{}}{mask_suffix}.png",
            others=_others(found_masks, masks, mask_suffix),
        )
        self.problems += _unusable(found, images, image_suffix, IMAGE_SUFFIXES)
        self.problems += _unusable(found_masks, masks, mask_suffix, MASK_SUFFIXES)
        self.remarks = left_out(found, images, IMAGE_SUFFIXES, "pictures")
        self.remarks += left_out(found_masks, masks, MASK_SUFFIXES, "masks")
        if of_hash is not None and split == "val":
            self.remarks += _larger_val(len(self._images), found)
        if not self._images and not self.problems:
            raise SegkdError(_no_images(found, images, of_hash))

    def image_path(self, index: int) -> Path:
        """The file of an image."""
        return self._images[index]

    def mask_path(self, index: int) -> Path:
        """The file of a mask."""
        return self._masks[index]

    def read_image(self, index: int) -> NDArray[np.uint8]:
        """One image as uint8 RGB (height, width, 3)."""
        return read_rgb(self._images[index])

    def read_mask(self, index: int) -> NDArray[np.uint8]:
        """One mask as uint8 class indices (height, width), 255 = ignore."""
        path = self._masks[index]
        values = read_label_values(path, png_only=False)
        advice = f"declare it in {self._classes_path}, as a class or under ignore"
        if values.ndim == 2:
            return self._classes.values.apply(values, path, advice)
        if self._classes.colours is None:
            raise DataFileError(
                path, f"a colour picture; give every class in {self._classes_path} a color, or store class numbers"
            )
        return self._classes.colours.apply(values, path, advice)


def in_val(name: str, val_fraction: float) -> bool:
    """Whether a name belongs to the validation split: its SHA-256, read as a fraction of 1, is below the share."""
    first_bytes = hashlib.sha256(name.encode()).digest()[:8]
    return int.from_bytes(first_bytes, "big") < val_fraction * 2**64


class _HashSplit(NamedTuple):
    """A split that a hash of the names makes; ``all`` has every image."""

    split: str
    val_fraction: float

    def has(self, name: str) -> bool:
        return self.split == "all" or in_val(name, self.val_fraction) == (self.split == "val")

    @property
    def form(self) -> str:
        """What ``segkd data check`` says of it."""
        if self.split == "all":
            return "all images, not split"
        return f"no folders train and val: a hash of each name sends {self.val_fraction:.0%} to val (val_fraction)"


def _require_folders(path: Path, images: Path, masks: Path) -> None:
    if not images.is_dir():
        raise SegkdError(f"no folder {images}; expected images, masks and classes.yaml in {path}{hint(path)}")
    if not masks.is_dir():
        raise SegkdError(f"no folder {masks}; frames without masks are images:{path}{hint(path)}")


def _named(
    found: Walk, folder: Path, suffixes: tuple[str, ...], ending: str, of_hash: _HashSplit | None
) -> list[tuple[str, Path]]:
    """(name without the ending, file) of the files of a split."""
    named = [(relative_name(path, folder), path) for path in found.files if path.suffix.lower() in suffixes]
    named = [(name.removesuffix(ending), path) for name, path in named if name.endswith(ending)]
    return [(name, path) for name, path in named if of_hash is None or of_hash.has(name)]


def _others(found: Walk, folder: Path, ending: str) -> dict[str, Path]:
    """Files among the masks that are no masks, by the name of the image that they may be meant for."""
    named = [(relative_name(path, folder), path) for path in found.files]
    others = {name.removesuffix(ending): path for name, path in named if path.suffix.lower() not in MASK_SUFFIXES}
    # A mask of the right kind whose name lacks the ending, or has one that was not said.
    loose = {name: path for name, path in named if ending and not name.endswith(ending)}
    return others | loose


def _unusable(found: Walk, folder: Path, ending: str, suffixes: tuple[str, ...]) -> list[Problem]:
    """Links to nothing, and files whose name lacks the ending that all names are said to have."""
    problems = [Problem(path, "link whose target is not there; restore or remove it") for path in found.dangling]
    if ending:
        files = [path for path in found.files if path.suffix.lower() in suffixes]
        without = [path for path in files if not relative_name(path, folder).endswith(ending)]
        problems += [
            Problem(path, f"has a name that does not end in {ending}; rename or remove it") for path in without
        ]
    return problems


def _fraction(val_fraction: str | float | None) -> float:
    try:
        share = DEFAULT_VAL_FRACTION if val_fraction is None else float(val_fraction)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise SegkdError(f"val_fraction={val_fraction}: expected a number above 0 and below 1, as in val_fraction=0.1")
    return share


def _larger_val(count: int, found: Walk) -> list[str]:
    """What to write where the hash sends few images to val, and there are enough for more."""
    total = sum(path.suffix.lower() in IMAGE_SUFFIXES for path in found.files)
    if not 0 < count < MIN_INTERVAL_IMAGES or total < 2 * MIN_INTERVAL_IMAGES:
        return []
    share = math.ceil(100 * 1.5 * MIN_INTERVAL_IMAGES / total) / 100
    return [f"val got {count} of {total} images; val_fraction={min(share, 0.5):g} sends it about enough for intervals"]


def _no_images(found: Walk, images: Path, of_hash: _HashSplit | None) -> str:
    count = sum(path.suffix.lower() in IMAGE_SUFFIXES for path in found.files)
    if of_hash is None or of_hash.split == "all" or not count:
        return f"no pictures ({', '.join(IMAGE_SUFFIXES)}) in {images}"
    return (
        f"{images}: none of {count} images falls into {of_hash.split} at val_fraction={of_hash.val_fraction:g}; "
        "change val_fraction"
    )
