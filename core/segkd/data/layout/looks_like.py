"""Which published data set a folder looks like, for people who named another reader."""

from __future__ import annotations

from pathlib import Path

# Folders that only one data set has, as paths below its own folder.
_SIGNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("cityscapes", ("leftImg8bit",)),
    ("camvid", ("trainannot", "valannot", "testannot", "train_labels", "LabeledApproved_full")),
    ("pascal_context", ("VOC2010", "SegmentationClassContext")),
    ("pascal_voc", ("VOC2012", "SegmentationClass", "VOCdevkit/VOC2012")),
    ("ade20k", ("ADEChallengeData2016", "annotations/training")),
    ("coco_stuff", ("annotations/train2017", "stuffthingmaps", "imageLists")),
)


def hint(path: Path) -> str:
    """``; this looks like camvid:PATH``, or nothing."""
    for name, folders in _SIGNS:
        if any((path / folder).is_dir() for folder in folders):
            return f"; this looks like {name}:{path}"
    if any((path / split / "images").is_dir() for split in ("train", "val")):
        return f"; {path} has the splits above images: move train/images to images/train, train/masks to masks/train"
    if not (path / "images").is_dir() and any((path / inner / "images").is_dir() for inner in _inner(path)):
        return f"; there is {next(path / inner for inner in _inner(path) if (path / inner / 'images').is_dir())}/images"
    return ""


def _inner(path: Path) -> list[str]:
    return sorted(folder.name for folder in path.iterdir() if folder.is_dir())
