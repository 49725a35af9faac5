"""CamVid, in the form of the SegNet tutorial and in its original colours.

SegNet (480x360, 11 classes):

    {root}/{train,val,test}/NAME.png
    {root}/{train,val,test}annot/NAME.png        grey: 0..10, 11 = void

Original (960x720, 32 classes), with or without splits:

    {root}/{train,val,test}/NAME.png             {root}/701_StillsRaw_full/NAME.png
    {root}/{train,val,test}_labels/NAME_L.png    {root}/LabeledApproved_full/NAME_L.png

The colour files give 11 classes as SegNet grouped them, or all 32. Without splits, lists ``{root}/{split}.txt`` make
them; ``split=all`` needs none. Publications report the test split.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import IGNORE, DataFileError, LabelSpace
from segkd.data.formats.decode import read_label_values
from segkd.data.formats.value_map import ColourMap, ValueMap
from segkd.data.layout.listing import first_folder, named_files, pair_listed, read_list, require_choice
from segkd.data.layout.paired_files import ClassPng, MaskReader, PairedFiles
from segkd.data.layout.pairing import Pairs, pair_by_name
from segkd.data.readers.labels.camvid import COLOURS, GROUPS, VOID
from segkd.errors import SegkdError, unknown_name

_VOID_COLOUR = COLOURS[VOID]
_GROUPED = LabelSpace(tuple(group.name for group in GROUPS), tuple(group.colour for group in GROUPS))
LABEL_SPACES = {
    "11": _GROUPED,
    "12": LabelSpace((*_GROUPED.names, "void"), (*_GROUPED.palette, _VOID_COLOUR)),
    "32": LabelSpace(tuple(COLOURS), tuple(COLOURS.values())),
}

_SPLITS = ("train", "val", "test")
_COUNTS = {"train": 367, "val": 101, "test": 233}
_ALL_COUNT = 701
_WHOLE = ("701_StillsRaw_full", "LabeledApproved_full")
_COLOUR_MASK = ("_L.png", ".png")
_EXPECTED = "CamVid has train and trainannot, train and train_labels, or 701_StillsRaw_full and LabeledApproved_full"


class ColourMask:
    """Reads label files of the original colours.

    Args:
        classes: ``11``, ``12`` or ``32``.
    """

    def __init__(self, classes: str) -> None:
        self._colours = ColourMap(colour_indices(classes))

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        """One file as uint8 class indices (height, width), 255 = ignore."""
        values = read_label_values(path)
        if values.ndim != 3:
            raise DataFileError(path, "no colour picture; CamVid's original label files hold 32 RGB colours")
        return self._colours.apply(values, path, "CamVid's label files hold the 32 colours of label_colors.txt")


def colour_indices(classes: str) -> dict[tuple[int, int, int], int]:
    """The original colours to class indices; with 11 classes void is ignored."""
    if classes == "32":
        return {colour: index for index, colour in enumerate(COLOURS.values())}
    grouped = {COLOURS[member]: index for index, group in enumerate(GROUPS) for member in group.members}
    return grouped | {_VOID_COLOUR: IGNORE if classes == "11" else len(GROUPS)}


def grey_indices(classes: str) -> dict[int, int]:
    """The values 0..11 of SegNet's files to class indices; 255 is ignored, with 11 classes void too."""
    void = IGNORE if classes == "11" else len(GROUPS)
    return {index: index for index in range(len(GROUPS))} | {len(GROUPS): void, IGNORE: IGNORE}


class CamVid(PairedFiles):
    """CamVid: ``camvid:PATH[,classes=11|12|32]``.

    Args:
        path: the folder that holds the folders of the splits, or one above it named ``CamVid``.
        split: ``train``, ``val``, ``test``; ``all`` for the original without splits.
        classes: 11; 12 with void as a class; 32 as annotated, void among them (original colours only).

    Raises:
        SegkdError: if the split's folders are not there, or 32 classes are asked of files with 11.
    """

    OPTIONS = frozenset({"classes"})
    SPLITS = _SPLITS
    CLASSES = "11, 12 with void, or the original 32 (classes=32)"
    LAYOUT = (
        "{train,val,test}/*.png, {train,val,test}annot/*.png (grey)",
        "or {train,val,test}_labels/*_L.png (colours), or 701_StillsRaw_full/*.png, LabeledApproved_full/*_L.png",
    )

    def __init__(self, path: Path, *, split: str = "val", classes: str = "11") -> None:
        require_choice("CamVid", "classes", classes, LABEL_SPACES)
        if split not in (*_SPLITS, "all"):
            raise unknown_name("split", split, (*_SPLITS, "all"))
        path = path / "CamVid" if (path / "CamVid").is_dir() else path
        found = _find(path, split)
        if not found.colours and classes == "32":
            raise SegkdError(f"{path}: these are SegNet's files, which hold 11 classes and void; use classes=11 or 12")
        self.labels = LABEL_SPACES[classes]
        self.form = found.what
        self.expected_count = _ALL_COUNT if split == "all" else None if found.colours else _COUNTS[split]
        self.file_values = None if found.colours else tuple(range(self.labels.num_classes))
        advice = "SegNet's label files of CamVid hold 0 to 11"
        reader: MaskReader = ColourMask(classes) if found.colours else ClassPng(ValueMap(grey_indices(classes)), advice)
        self._set_files(found.pairs, reader, f"no images for split {split} in {path}")


class _Found(NamedTuple):
    """The files of a split, whether their masks are colours, and which form it is."""

    pairs: Pairs
    colours: bool
    what: str


def _find(path: Path, split: str) -> _Found:
    images, grey, colours = path / split, path / f"{split}annot", path / f"{split}_labels"
    masks = first_folder([grey, colours])
    if masks is not None and images.is_dir():
        pairs = pair_by_name(
            named_files(images, ".png"),
            named_files(masks, *(_COLOUR_MASK if masks == colours else (".png",))),
            mask_form=f"{masks}/{{}}{'_L' if masks == colours else ''}.png",
        )
        what = "original colours in split folders" if masks == colours else "SegNet's grey label files"
        return _Found(pairs, masks == colours, what)

    # All stills in one folder, and lists of the splits that a user writes.
    images, masks = (path / name for name in _WHOLE)
    if not images.is_dir() or not masks.is_dir():
        raise SegkdError(f"no folders {path / split} and {grey}; {_EXPECTED}")
    image_files, mask_files = named_files(images, ".png"), named_files(masks, *_COLOUR_MASK)
    mask_form = f"{masks}/{{}}_L.png"
    if split == "all":
        pairs = pair_by_name(image_files, mask_files, mask_form=mask_form)
    else:
        source = path / f"{split}.txt"
        if not source.is_file():
            raise SegkdError(f"no {source}; the original CamVid has no splits: list the names there, or use split=all")
        pairs = pair_listed(
            read_list(source),
            source,
            dict(image_files),
            dict(mask_files),
            image_form=f"{images}/{{}}.png",
            mask_form=mask_form,
        )
    return _Found(pairs, True, "original colours of 701 stills")
