"""PASCAL VOC 2012 segmentation, and its training set enlarged by SBD.

    VOCdevkit/VOC2012/JPEGImages/NAME.jpg
    VOCdevkit/VOC2012/SegmentationClass/NAME.png                        palette PNG: 0..20, 255 = border
    VOCdevkit/VOC2012/ImageSets/Segmentation/{train,val,trainval}.txt   names
    benchmark_RELEASE/dataset/cls/NAME.mat                              SBD: GTcls.Segmentation, 0..20, no border
    benchmark_RELEASE/dataset/{train,val}.txt                           SBD's own splits

``trainaug`` is VOC's train with SBD's train and val, without VOC's val: 10582 images. open-mmlab's conversion
(``SegmentationClassAug/NAME.png``, ``ImageSets/Segmentation/{trainaug,aug}.txt``) is read too. Where an image has a
mask of VOC, that one is read; then the converted one, then SBD's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import IGNORE, LabelSpace
from segkd.data.formats.decode import IMAGE_SUFFIXES
from segkd.data.formats.mat_file import ClassMat
from segkd.data.formats.value_map import ValueMap, WideValueMap
from segkd.data.layout.listing import find_root, first_folder, named_files, pair_listed, read_list, require_choice
from segkd.data.layout.paired_files import ClassPng, PairedFiles
from segkd.data.readers.labels.pascal_voc import NAMES, PALETTE
from segkd.errors import SegkdError, unknown_name

LABEL_SPACE = LabelSpace(NAMES, PALETTE)

_TRAIN_LISTS = ("train", "trainaug", "trainval")
_COUNTS = {"train": 1464, "val": 1449, "trainval": 2913, "trainaug": 10582}
_ROOTS = ("VOC2012", "VOCdevkit/VOC2012")
_SBD_FOLDERS = ("benchmark_RELEASE", "VOCaug")
_EXPECTED = "VOC2012 holds JPEGImages, SegmentationClass and ImageSets/Segmentation"
_ADVICE = "VOC masks hold 0 to 20 and 255"
_VALUES = {value: value for value in range(len(NAMES))} | {IGNORE: IGNORE}


class VocMask:
    """Reads a mask of VOC (PNG) or SBD (MATLAB)."""

    def __init__(self) -> None:
        self._png = ClassPng(ValueMap(_VALUES), _ADVICE)
        self._mat = ClassMat(("GTcls", "Segmentation"), WideValueMap(_VALUES), _ADVICE)

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        """One file as uint8 class indices (height, width), 255 = ignore."""
        return self._mat(path) if path.suffix.lower() == ".mat" else self._png(path)


class PascalVoc(PairedFiles):
    """PASCAL VOC 2012 with background: ``pascal_voc:PATH[,train=train|trainaug|trainval][,sbd=PATH]``.

    Args:
        path: ``VOC2012``, or a folder above it.
        split: ``train``, ``val``, ``trainval``, ``trainaug``, or another list in ``ImageSets/Segmentation``.
        train: the list that the split ``train`` stands for.
        sbd: ``benchmark_RELEASE``; by default it is looked for beside VOC2012 and in the folders above, up to ``path``.

    Raises:
        SegkdError: if a folder or list is not there.
    """

    OPTIONS = frozenset({"train", "sbd"})
    CLASSES = "21 (0 = background)"
    LAYOUT = (
        "VOC2012/JPEGImages/*.jpg",
        "VOC2012/SegmentationClass/*.png (palette), SegmentationClassAug/*.png",
        "VOC2012/ImageSets/Segmentation/{train,val,trainval}.txt",
        "benchmark_RELEASE/dataset/{cls/*.mat,train.txt,val.txt} (SBD, for trainaug)",
    )

    def __init__(self, path: Path, *, split: str = "val", train: str = "train", sbd: str | None = None) -> None:
        require_choice("PASCAL VOC", "train", train, _TRAIN_LISTS)
        root = find_root(path, _ROOTS, "JPEGImages", _EXPECTED)
        split = train if split == "train" else split
        sbd_folder = _sbd_folder(path, root, sbd)

        names, source = _names(root, split, sbd_folder)
        enlarged = split in ("trainaug", "aug")
        masks, self.form = _masks(root, names, sbd_folder if enlarged else None)

        pairs = pair_listed(
            names,
            source,
            dict(named_files(root / "JPEGImages", *IMAGE_SUFFIXES)),
            masks,
            image_form=f"{root}/JPEGImages/{{}}.jpg",
            mask_form=f"{root}/SegmentationClass/{{}}.png"
            + (f" and no {sbd_folder}/cls/{{}}.mat" if enlarged and sbd_folder else ""),
        )

        self.labels = LABEL_SPACE
        self.expected_count = _COUNTS.get(split)
        self.file_values = tuple(range(len(NAMES)))
        self._set_files(pairs, VocMask(), f"no images for {source}")


def _sbd_folder(path: Path, root: Path, sbd: str | None) -> Path | None:
    """The folder that holds SBD's ``cls``."""
    if sbd is not None:
        given = Path(sbd).expanduser()
        found = first_folder(
            folder / "cls" for folder in (given, given / "dataset", given / _SBD_FOLDERS[0] / "dataset")
        )
        if found is None:
            raise SegkdError(f"sbd={sbd}: no folder {given}/dataset/cls; it is benchmark_RELEASE of SBD")
        return found.parent
    above = [path, root.parent, root.parent.parent, root]
    found = first_folder(folder / name / "dataset" / "cls" for folder in above for name in _SBD_FOLDERS)
    return None if found is None else found.parent


def _names(root: Path, split: str, sbd: Path | None) -> tuple[list[str], Path]:
    """The names of a split, and the list they are from."""
    lists = root / "ImageSets" / "Segmentation"
    source = lists / f"{split}.txt"
    if source.is_file():
        return read_list(source), source
    if split == "trainaug":
        if sbd is None:
            raise SegkdError(
                f"no {source} and no benchmark_RELEASE/dataset/cls near {root}; unpack SBD there or give sbd=PATH"
            )
        enlarged = {*read_list(lists / "train.txt"), *read_list(sbd / "train.txt"), *read_list(sbd / "val.txt")}
        return sorted(enlarged - set(read_list(lists / "val.txt"))), sbd
    if not lists.is_dir():
        raise SegkdError(f"no folder {lists}; {_EXPECTED}")
    known = {name for name, _ in named_files(lists, ".txt")}
    raise SegkdError(f"no {source}; {unknown_name('split', split, known | {'trainaug'})}")


def _masks(root: Path, names: list[str], sbd: Path | None) -> tuple[dict[str, Path], str]:
    """Name -> mask file for the names that have one, and how many are from where."""
    folders: list[tuple[str, Mapping[str, Path]]] = [
        (name, dict(named_files(root / name, ".png")))
        for name in ("SegmentationClass", "SegmentationClassAug")
        if (root / name).is_dir()
    ]
    if sbd is not None:
        folders.append(("SBD cls/*.mat", dict(named_files(sbd / "cls", ".mat"))))
    if not folders:
        raise SegkdError(f"no folder {root / 'SegmentationClass'}; {_EXPECTED}")
    masks: dict[str, Path] = {}
    parts = []
    for what, files in folders:
        new = {name: files[name] for name in names if name in files and name not in masks}
        masks |= new
        if new:
            parts.append(f"{len(new)} {what}")
    return masks, "masks: " + ", ".join(parts)
