"""Which folders are the splits of one's own data, and which only look like it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from segkd.errors import SegkdError, unknown_name

# What people call the splits, in any case.
ALIASES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
# Further names that say which split they are; folders of these names are not taken for splits, but never pooled either.
_WORD = re.compile(
    r"(?:^|[^a-z])(train|training|trn|val|valid|validation|dev|test|testing|eval|holdout)"
    r"(?:set|data|split|images|imgs|masks|labels)?(?![a-z])"
)

_FIRST_WORD = re.compile(r"(train|training|trn|val|valid|validation|dev|test|testing|eval|holdout)[^a-z]")


class SplitFolders(NamedTuple):
    """The folders of one split.

    Attributes:
        images: its images.
        masks: its masks.
    """

    images: Path
    masks: Path


def canonical(name: str) -> str:
    """``train``, ``val`` or ``test`` for what people call them; any other name as it is."""
    return ALIASES.get(name.casefold(), name)


def has_splits(images: Path) -> bool:
    """Whether a folder's own folders are splits: one of them is for training or validation."""
    return any(canonical(folder.name) in ("train", "val") for folder in _folders(images))


def find_split(images: Path, masks: Path, split: str) -> SplitFolders:
    """The folders of a split, whatever people call it.

    Raises:
        SegkdError: if images or masks have none or several of this name.
    """
    found = _one(images, split)
    if found is None:
        known = sorted({canonical(folder.name) for folder in _folders(images)})
        raise SegkdError(f"no folder {images / split}; {unknown_name('split', split, known)}")
    labels = _one(masks, split)
    if labels is None:
        raise SegkdError(f"no folder {masks / found.name}, but there is {found}")
    _refuse_splits_inside(found, split)
    return SplitFolders(found, labels)


def refuse_hidden_splits(images: Path, files: Sequence[Path]) -> None:
    """Stop where what looks like splits would be pooled and split anew: training would see what is held out.

    Args:
        images: the folder of images, which has no ``train`` or ``val``.
        files: the images.

    Raises:
        SegkdError: naming the folders or files.
    """
    looks = sorted({folder for path in files if (folder := _split_above(path, images)) is not None})
    if looks:
        some = ", ".join(looks[:3]) + (", ..." if len(looks) > 3 else "")
        raise SegkdError(
            f"{images}: the folders {some} look like splits, but splits are {images / 'train'} and {images / 'val'}: "
            "rename or move them (masks too); or pool them all with val_fraction=0.1 or split=all"
        )

    # `train_001.png` beside `val_001.png`; one prefix alone may be any word.
    first_words = {found[1]: path.name for path in files if (found := _FIRST_WORD.match(path.name.casefold()))}
    if len({canonical(word) for word in first_words}) > 1:
        raise SegkdError(
            f"{images}: the names of {' and '.join(sorted(first_words.values())[:3])} look like splits, but splits are "
            f"{images / 'train'} and {images / 'val'}: move the files there (masks too); or pool them all with "
            "val_fraction=0.1 or split=all"
        )


def _split_above(path: Path, images: Path) -> str | None:
    """The outermost folder below ``images`` that looks like a split, as text."""
    parts = path.relative_to(images).parts[:-1]
    for depth, part in enumerate(parts):
        if _WORD.search(part.casefold()):
            return "/".join(parts[: depth + 1])
    return None


def _refuse_splits_inside(folder: Path, split: str) -> None:
    """Stop where a split's folder holds folders of other splits."""
    others = sorted({canonical(inner.name) for inner in _folders(folder)} & {"train", "val", "test"} - {split})
    if others:
        raise SegkdError(f"{folder} holds a folder of another split, {others[0]}; move it beside {folder.name}")


def _one(folder: Path, split: str) -> Path | None:
    found = [inner for inner in _folders(folder) if split in (inner.name, canonical(inner.name))]
    if len(found) > 1:
        names = " and ".join(inner.name for inner in found)
        raise SegkdError(
            f"{folder}: {names} both stand for the split {split}; keep one, or give the other another name"
        )
    return found[0] if found else None


def _folders(folder: Path) -> list[Path]:
    return sorted(inner for inner in folder.iterdir() if inner.is_dir() and not inner.name.startswith("."))
