"""PASCAL Context: VOC 2010 images with 59 frequent classes.

    VOCdevkit/VOC2010/JPEGImages/NAME.jpg
    VOCdevkit/VOC2010/SegmentationClassContext/NAME.png                    0 = background, 1..59 (made by open-mmlab)
    VOCdevkit/VOC2010/ImageSets/SegmentationContext/{train,val}.txt        names (made by open-mmlab)

and, as they are distributed, one of

    VOCdevkit/VOC2010/trainval_merged.json    PASCAL in Detail; it has its own splits
    VOCdevkit/VOC2010/trainval/NAME.mat       the first release: LabelMap with 459 numbers; splits in ImageSets/Main

With 59 classes the background is ignored, with 60 it is a class.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import IGNORE, LabelSpace
from segkd.data.formats.context_json import draw, read_annotations
from segkd.data.formats.decode import IMAGE_SUFFIXES
from segkd.data.formats.mat_file import ClassMat
from segkd.data.formats.value_map import ValueMap, WideValueMap
from segkd.data.layout.listing import (
    find_root,
    first_folder,
    has_files,
    named_files,
    pair_listed,
    read_list,
    require_choice,
)
from segkd.data.layout.paired_files import ClassPng, PairedFiles
from segkd.data.readers.labels.pascal_context import BACKGROUND, CLASSES, LAST_NUMBER, PALETTE_60
from segkd.errors import SegkdError, unknown_name

LABEL_SPACES = {
    "59": LabelSpace(tuple(CLASSES.values()), PALETTE_60[1:]),
    "60": LabelSpace((BACKGROUND, *CLASSES.values()), PALETTE_60),
}

_COUNTS = {"train": 4998, "val": 5105}
_JSON = "trainval_merged.json"
_PNG_FOLDER, _MAT_FOLDER = "SegmentationClassContext", "trainval"
_EXPECTED = f"VOC2010 holds JPEGImages, and {_PNG_FOLDER}, {_JSON} or {_MAT_FOLDER}/*.mat"


def png_values(classes: str) -> dict[int, int]:
    """Values 0..59 of converted files to class indices; 255 is ignored."""
    first = 1 if classes == "59" else 0
    return (
        {value: value - first for value in range(first, len(CLASSES) + 1)} | ({0: IGNORE} if first else {}) | {255: 255}
    )


def raw_values(classes: str) -> dict[int, int]:
    """The 459 numbers to class indices: the frequent ones, all others background."""
    converted = png_values(classes)
    indices = {number: converted[position + 1] for position, number in enumerate(CLASSES)}
    return dict.fromkeys(range(LAST_NUMBER + 1), converted[0]) | indices


class PascalContext(PairedFiles):
    """PASCAL Context: ``pascal_context:PATH[,classes=59|60][,labels=png|json|mat|auto]``.

    Args:
        path: ``VOC2010``, or a folder above it.
        split: ``train`` or ``val``.
        classes: 59, or 60 with background.
        labels: which annotations to read; ``auto`` takes the first of ``png``, ``json`` and ``mat`` that is there.

    Raises:
        SegkdError: if the images, the annotations or the list of the split are not there.
    """

    OPTIONS = frozenset({"classes", "labels"})
    CLASSES = "59, or 60 with background (classes=60)"
    LAYOUT = (
        "VOC2010/JPEGImages/*.jpg",
        "VOC2010/SegmentationClassContext/*.png and ImageSets/SegmentationContext/{train,val}.txt,",
        "or VOC2010/trainval_merged.json, or VOC2010/trainval/*.mat and ImageSets/Main/{train,val}.txt",
    )

    def __init__(self, path: Path, *, split: str = "val", classes: str = "59", labels: str = "auto") -> None:
        require_choice("PASCAL Context", "classes", classes, LABEL_SPACES)
        require_choice("PASCAL Context", "labels", labels, [*_FINDERS, "auto"])
        if split not in _COUNTS:
            raise unknown_name("split", split, _COUNTS)
        root = find_root(path, ("VOC2010", "VOCdevkit/VOC2010"), "JPEGImages", _EXPECTED)
        wanted = [kind for kind in _FINDERS if labels in (kind, "auto")]
        found = {kind: source for kind in wanted if (source := _FINDERS[kind](path, root)) is not None}
        if not found:
            raise SegkdError(f"{root}: no {' or '.join(_WHAT[kind] for kind in wanted)}; {_EXPECTED}")
        kind, source = next(iter(found.items()))
        self.labels = LABEL_SPACES[classes]
        self.form = _FORMS[kind]
        self.expected_count = _COUNTS[split]
        self.file_values = tuple(range(60 - int(classes), len(CLASSES) + 1))
        self._annotations = read_annotations(source, split) if kind == "json" else {}
        self._raw = WideValueMap(raw_values(classes))
        self._take(root, split, source, ClassPng(ValueMap(png_values(classes)), "these files hold 0 to 59"))

    def _take(self, root: Path, split: str, source: Path, read_png: ClassPng) -> None:
        """Pair the images with the annotations in ``source``."""
        if source.is_file():
            names, listed, masks = list(self._annotations), source, dict.fromkeys(self._annotations, source)
            mask_form = f"annotation of {{}} in {source}"
        else:
            listed = _list_of(root, split)
            suffix = ".png" if source.name == _PNG_FOLDER else ".mat"
            names, masks = read_list(listed), dict(named_files(source, suffix))
            mask_form = f"{source}/{{}}{suffix}"

        pairs = pair_listed(
            names,
            listed,
            dict(named_files(root / "JPEGImages", *IMAGE_SUFFIXES)),
            masks,
            image_form=f"{root}/JPEGImages/{{}}.jpg",
            mask_form=mask_form,
        )

        read_mat = ClassMat(("LabelMap",), self._raw, _RAW_ADVICE)
        self._set_files(
            pairs, read_png if source.name == _PNG_FOLDER else read_mat, f"no images for split {split} in {listed}"
        )

    def read_mask(self, index: int) -> NDArray[np.uint8]:
        """One mask as uint8 class indices (height, width), 255 = ignore."""
        if not self._annotations:
            return super().read_mask(index)
        name, path = self.ids[index], self._masks[index]
        return self._raw.apply(draw(self._annotations[name], path, name), path, f"image {name}: {_RAW_ADVICE}")


def _list_of(root: Path, split: str) -> Path:
    lists = root / "ImageSets"
    own, main = lists / "SegmentationContext" / f"{split}.txt", lists / "Main" / f"{split}.txt"
    if not own.is_file() and not main.is_file():
        raise SegkdError(f"no {own} and no {main}; one of them lists the images of {split}")
    return own if own.is_file() else main


def _find_png(path: Path, root: Path) -> Path | None:
    folder = root / _PNG_FOLDER
    return folder if folder.is_dir() else None


def _find_json(path: Path, root: Path) -> Path | None:
    return next((folder / _JSON for folder in (root, root.parent, path) if (folder / _JSON).is_file()), None)


def _find_mat(path: Path, root: Path) -> Path | None:
    folder = first_folder(folder / _MAT_FOLDER for folder in (root, root.parent, path))
    return folder if folder is not None and has_files(folder, ".mat") else None


_RAW_ADVICE = f"the full annotation numbers its classes 0 to {LAST_NUMBER}"
_FINDERS: dict[str, Callable[[Path, Path], Path | None]] = {"png": _find_png, "json": _find_json, "mat": _find_mat}
_WHAT = {"png": _PNG_FOLDER, "json": _JSON, "mat": f"{_MAT_FOLDER}/*.mat"}
_FORMS = {
    "png": f"{_PNG_FOLDER}/*.png (0..59, converted by open-mmlab)",
    "json": f"{_JSON} (PASCAL in Detail)",
    "mat": f"{_MAT_FOLDER}/*.mat (459 numbers, as first distributed)",
}
