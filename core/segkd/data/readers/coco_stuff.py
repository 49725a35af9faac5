"""COCO-Stuff, the 164k release (COCO 2017) and the 10k release (COCO 2014).

164k:

    {root}/images/{train,val}2017/NAME.jpg
    {root}/annotations/{train,val}2017/NAME.png                  label - 1: 0..181; 255 = unlabelled
    {root}/annotations/{train,val}2017/NAME_labelTrainIds.png    0..170; 255 (made by open-mmlab)

10k:

    {root}/images/NAME.jpg                                       open-mmlab: images/{train,test}2014/
    {root}/annotations/NAME.mat                                  S: label 1..182; 0 = unlabelled
    {root}/annotations/{train,test}2014/NAME_labelTrainIds.png   1..171; 0 = unlabelled (made by open-mmlab)
    {root}/imageLists/{train,test}.txt                           names

Eleven of the 182 labels occur nowhere; the 171 others, in their order, are the classes. Some works (CIRKD, Af-DCD)
train networks of 182 outputs without renumbering: ``classes=182``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from segkd.data.base import IGNORE, LabelSpace
from segkd.data.formats.decode import IMAGE_SUFFIXES
from segkd.data.formats.mat_file import ClassMat
from segkd.data.formats.value_map import ValueMap, WideValueMap
from segkd.data.layout.listing import first_folder, named_files, pair_listed, read_list, require_choice, require_folders
from segkd.data.layout.paired_files import ClassPng, MaskReader, PairedFiles
from segkd.data.layout.pairing import Pairs, pair_by_name
from segkd.data.readers.labels.coco_stuff import LABELS, SCORED, colour
from segkd.errors import SegkdError, unknown_name

_ALL_LABELS = tuple(range(1, len(LABELS) + 1))
CLASS_LABELS = {"171": SCORED, "182": _ALL_LABELS}

_TRAIN_IDS = "_labelTrainIds"
_KINDS = ("raw", "train_ids")
_RELEASES = ("164k", "10k")
_FOLDERS = {"164k": {"train": "train2017", "val": "val2017"}, "10k": {"train": "train2014", "val": "test2014"}}
_COUNTS = {"164k": {"train": 118287, "val": 5000}, "10k": {"train": 9000, "val": 1000}}
_EXPECTED = {
    "164k": "COCO-Stuff 164k has images/{train,val}2017 and annotations/{train,val}2017",
    "10k": "COCO-Stuff 10k has images, annotations and imageLists/{train,test}.txt",
}


def label_space(classes: str) -> LabelSpace:
    """The 171 scored classes, or all 182."""
    labels = CLASS_LABELS[classes]
    return LabelSpace(tuple(LABELS[label - 1] for label in labels), tuple(colour(label) for label in labels))


def file_values(release: str, kind: str, classes: str) -> dict[int, int]:
    """What the files of a release hold: value -> class index; values that no file has are left out.

    Args:
        release: ``164k`` or ``10k``.
        kind: ``raw`` as distributed, ``train_ids`` as open-mmlab numbers them.
        classes: ``171`` or ``182``.
    """
    index_of = {label: index for index, label in enumerate(CLASS_LABELS[classes])}
    numbered = enumerate(SCORED, start=1) if kind == "train_ids" else ((label, label) for label in SCORED)
    if release == "164k":
        return {value - 1: index_of[label] for value, label in numbered} | {IGNORE: IGNORE}
    return {value: index_of[label] for value, label in numbered} | {0: IGNORE}


class CocoStuff(PairedFiles):
    """COCO-Stuff: ``coco_stuff:PATH[,release=164k|10k|auto][,classes=171|182][,labels=raw|train_ids|auto]``.

    Args:
        path: the folder that holds ``images`` and ``annotations``.
        split: ``train`` or ``val``; for 10k ``test`` and ``val`` are the same.
        release: ``auto`` takes 10k where there is ``imageLists`` or ``annotations/{train,test}2014``.
        classes: 171, or 182 with the eleven that never occur.
        labels: ``raw`` as distributed, ``train_ids`` for open-mmlab's files; ``auto`` takes those only where there are
            no others.

    Raises:
        SegkdError: if the split's folders or list are not there.
    """

    OPTIONS = frozenset({"release", "classes", "labels"})
    CLASSES = "171, or 182 without renumbering (classes=182)"
    LAYOUT = (
        "164k: images/{train,val}2017/*.jpg, annotations/{train,val}2017/*.png",
        "10k: images/*.jpg, annotations/*.mat, imageLists/{train,test}.txt",
    )

    def __init__(
        self, path: Path, *, split: str = "val", release: str = "auto", classes: str = "171", labels: str = "auto"
    ) -> None:
        require_choice("COCO-Stuff", "release", release, [*_RELEASES, "auto"])
        require_choice("COCO-Stuff", "classes", classes, CLASS_LABELS)
        require_choice("COCO-Stuff", "labels", labels, [*_KINDS, "auto"])
        release = _release(path) if release == "auto" else release
        split = "val" if (release, split) == ("10k", "test") else split
        if split not in _COUNTS[release]:
            raise unknown_name("split", split, _COUNTS[release])
        found = _large(path, split, labels) if release == "164k" else _small(path, split, labels)
        values = file_values(release, found.kind, classes)
        self.labels = label_space(classes)
        self.form = f"COCO-Stuff {release}, {found.what}"
        self.expected_count = _COUNTS[release][split]
        self.file_values = tuple(label - (release == "164k") for label in CLASS_LABELS[classes])
        advice = f"{found.what} hold {_RANGES[release, found.kind]}"
        self._set_files(found.pairs, _reader(found, values, advice), f"no images for split {split} in {path}")


class _Found(NamedTuple):
    """The files of a split: ``raw`` or ``train_ids``, in words, and their pairs."""

    kind: str
    what: str
    pairs: Pairs


_RANGES = {
    ("164k", "raw"): "0 to 181 without the eleven that never occur, and 255",
    ("164k", "train_ids"): "0 to 170 and 255",
    ("10k", "raw"): "0 to 182 without the eleven that never occur",
    ("10k", "train_ids"): "0 to 171",
}


def _release(path: Path) -> str:
    marks = [path / "imageLists", *(path / "annotations" / folder for folder in _FOLDERS["10k"].values())]
    return "10k" if first_folder(marks) else "164k"


def _reader(found: _Found, values: dict[int, int], advice: str) -> MaskReader:
    if found.pairs.masks and found.pairs.masks[0].suffix.lower() == ".mat":
        return ClassMat(("S",), WideValueMap(values), advice)
    return ClassPng(ValueMap(values), advice)


def _large(path: Path, split: str, labels: str) -> _Found:
    """The files of the 164k release."""
    folder, expected = _FOLDERS["164k"][split], _EXPECTED["164k"]
    images = first_folder([path / "images" / folder, path / folder]) or path / "images" / folder
    masks = (
        first_folder(path / name / folder for name in ("annotations", "stuffthingmaps", "stuffthingmaps_trainval2017"))
        or path / "annotations" / folder
    )
    require_folders(images, masks, expected=expected)
    kind, what, files = _pngs(masks, labels)
    pairs = pair_by_name(named_files(images, *IMAGE_SUFFIXES), files, mask_form=f"{masks}/{{}}{_ending(kind)}")
    return _Found(kind, what, pairs)


def _pngs(folder: Path, labels: str) -> tuple[str, str, list[tuple[str, Path]]]:
    """Which PNG files of a folder are read, in words, and the files."""
    converted = named_files(folder, _ending("train_ids"))
    raw = [(name, path) for name, path in named_files(folder, ".png") if not name.lower().endswith(_TRAIN_IDS.lower())]
    kind = labels if labels != "auto" else "train_ids" if converted and not raw else "raw"
    files = raw if kind == "raw" else converted
    if not files:
        raise SegkdError(f"no *{_ending(kind)} in {folder}")
    what = "annotation files as distributed" if kind == "raw" else f"open-mmlab's *{_TRAIN_IDS}.png"
    return kind, what, files


def _ending(kind: str) -> str:
    return ".png" if kind == "raw" else f"{_TRAIN_IDS}.png"


def _small(path: Path, split: str, labels: str) -> _Found:
    """The files of the 10k release."""
    converted = path / "annotations" / _FOLDERS["10k"][split]
    mats = dict(named_files(path / "annotations", ".mat")) if (path / "annotations").is_dir() else {}
    kind = labels if labels != "auto" else "train_ids" if converted.is_dir() and not mats else "raw"
    if kind == "train_ids":
        images = first_folder([path / "images" / converted.name]) or path / "images"
        require_folders(images, converted, expected=_EXPECTED["10k"])
        files = named_files(converted, _ending(kind))
        form = f"{converted}/{{}}{_ending(kind)}"
        what = f"open-mmlab's *{_TRAIN_IDS}.png"
        return _Found(kind, what, pair_by_name(named_files(images, *IMAGE_SUFFIXES), files, mask_form=form))

    require_folders(path / "images", path / "annotations", expected=_EXPECTED["10k"])
    source = path / "imageLists" / ("train.txt" if split == "train" else "test.txt")
    images_10k = dict(named_files(path / "images", *IMAGE_SUFFIXES))
    pairs = pair_listed(
        read_list(source),
        source,
        images_10k,
        mats,
        image_form=f"{path}/images/{{}}.jpg",
        mask_form=f"{path}/annotations/{{}}.mat",
    )
    return _Found(kind, "annotation files as distributed (*.mat)", pairs)
