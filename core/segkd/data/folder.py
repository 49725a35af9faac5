"""A folder of images, masks and ``classes.yaml``: the form for data of one's own.

    {root}/classes.yaml            what the mask values mean (:mod:`segkd.data.classes_file`)
    {root}/images/**/NAME.jpg      png, jpg, jpeg, bmp or webp
    {root}/masks/**/NAME.png       the same name: grey or palette PNG of class numbers, or RGB PNG of class colours

Where ``images/train`` and ``images/val`` exist (and ``masks/train``, ``masks/val``), they are the splits. Otherwise a
hash of the name sends each image to one of them, so that images that come later move none of the others.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import DataFileError, Dataset
from segkd.data.classes_file import read_classes
from segkd.data.decode import IMAGE_SUFFIXES, read_label_values, read_rgb
from segkd.data.pairing import pair_by_name, relative_name, visible_files
from segkd.errors import SegkdError, unknown_name

DEFAULT_VAL_FRACTION = 0.1
_SPLIT_FOLDERS = ("train", "val")


class Folder(Dataset):
    """Images and masks of one's own: ``folder:PATH[,val_fraction=0.1]``.

    Args:
        path: the folder that holds ``images``, ``masks`` and ``classes.yaml``.
        split: ``train`` or ``val``, without split folders also ``all``; with them, the name of any such folder.
        val_fraction: the share of images in ``val``, above 0 and below 1; only without split folders.

    Raises:
        SegkdError: if a folder or ``classes.yaml`` is missing or wrong, or the split has no image.
    """

    OPTIONS = frozenset({"val_fraction"})
    CLASSES = "as in classes.yaml"
    LAYOUT = ("images/**/*.jpg (or png, bmp, webp)", "masks/**/*.png", "classes.yaml")

    def __init__(self, path: Path, *, split: str = "val", val_fraction: str | float | None = None) -> None:
        images, masks = path / "images", path / "masks"
        if not images.is_dir():
            raise SegkdError(f"no folder {images}; expected images, masks and classes.yaml in {path}")
        if not masks.is_dir():
            raise SegkdError(f"no folder {masks}; frames without masks are images:{path}")
        self._classes_path = path / "classes.yaml"
        self._classes = read_classes(self._classes_path)
        self.labels = self._classes.labels
        if any((images / name).is_dir() for name in _SPLIT_FOLDERS):
            images, masks = _split_folders(images, masks, split)
            if val_fraction is not None:
                raise SegkdError(f"val_fraction has no use for {path}: images/train and images/val are the splits")
            share_of_val, split_of_hash = 0.0, "all"
        else:
            share_of_val, split_of_hash = _fraction(val_fraction), split
            if split not in (*_SPLIT_FOLDERS, "all"):
                raise unknown_name("split", split, (*_SPLIT_FOLDERS, "all"))
        self.ids, self._images, self._masks, self.problems = pair_by_name(
            _named(images, IMAGE_SUFFIXES, split_of_hash, share_of_val),
            _named(masks, (".png",), split_of_hash, share_of_val),
            mask_form=f"{masks}/{{}}.png",
        )
        if not self._images and not self.problems:
            raise SegkdError(_no_images(images, split, split_of_hash, share_of_val))

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
        values = read_label_values(path)
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


def _named(folder: Path, suffixes: tuple[str, ...], split: str, val_fraction: float) -> list[tuple[str, Path]]:
    named = [(relative_name(path, folder), path) for path in visible_files(folder, suffixes)]
    if split == "all":
        return named
    return [(name, path) for name, path in named if in_val(name, val_fraction) == (split == "val")]


def _split_folders(images: Path, masks: Path, split: str) -> tuple[Path, Path]:
    known = sorted(folder.name for folder in images.iterdir() if folder.is_dir())
    if split not in known:
        raise SegkdError(f"no folder {images / split}; {unknown_name('split', split, known)}")
    if not (masks / split).is_dir():
        raise SegkdError(f"no folder {masks / split}, but there is {images / split}")
    return images / split, masks / split


def _fraction(val_fraction: str | float | None) -> float:
    try:
        share = DEFAULT_VAL_FRACTION if val_fraction is None else float(val_fraction)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise SegkdError(f"val_fraction={val_fraction}: expected a number above 0 and below 1, as in val_fraction=0.1")
    return share


def _no_images(images: Path, split: str, split_of_hash: str, val_fraction: float) -> str:
    count = len(visible_files(images, IMAGE_SUFFIXES))
    if split_of_hash == "all" or not count:
        return f"no pictures ({', '.join(IMAGE_SUFFIXES)}) in {images}"
    return f"{images}: none of {count} images falls into {split} at val_fraction={val_fraction:g}; change val_fraction"
