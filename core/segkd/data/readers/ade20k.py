"""ADE20K as the scene parsing benchmark distributes it (SceneParse150, ``ADEChallengeData2016.zip``).

    {root}/images/{training,validation}/ADE_{train,val}_XXXXXXXX.jpg
    {root}/annotations/{training,validation}/ADE_{train,val}_XXXXXXXX.png

The annotation files hold 1..150, and 0 for everything else, which is ignored: class = value - 1. The full ADE20K
release (``*_seg.png``, thousands of object names) is another data set.
"""

from __future__ import annotations

from pathlib import Path

from segkd.data.base import IGNORE, LabelSpace
from segkd.data.formats.decode import IMAGE_SUFFIXES
from segkd.data.formats.value_map import ValueMap
from segkd.data.layout.listing import find_root, named_files, require_folders
from segkd.data.layout.paired_files import ClassPng, PairedFiles
from segkd.data.layout.pairing import pair_by_name
from segkd.data.readers.labels.ade20k import NAMES, PALETTE
from segkd.errors import SegkdError, unknown_name

LABEL_SPACE = LabelSpace(NAMES, PALETTE)

_ARCHIVE = "ADEChallengeData2016"
_EXPECTED = f"{_ARCHIVE} holds images and annotations, each with training and validation"
_FOLDERS = {"train": "training", "val": "validation"}
_COUNTS = {"train": 20210, "val": 2000}


def value_map() -> ValueMap:
    """Values 1..150 to class indices 0..149; 0 and 255 are ignored."""
    return ValueMap({index + 1: index for index in range(len(NAMES))} | {0: IGNORE, 255: IGNORE})


class Ade20k(PairedFiles):
    """ADE20K scene parsing, 150 classes: ``ade20k:PATH``.

    Args:
        path: ``ADEChallengeData2016``, or the folder that holds it.
        split: ``train`` or ``val``; the labels of ``test`` are not public.

    Raises:
        SegkdError: if the split's folders are not there, or it is the full ADE20K release.
    """

    CLASSES = "150"
    LAYOUT = (
        "images/{training,validation}/ADE_*.jpg",
        "annotations/{training,validation}/ADE_*.png",
    )

    def __init__(self, path: Path, *, split: str = "val") -> None:
        if split not in _FOLDERS:
            raise unknown_name("split", split, _FOLDERS)
        if next(path.glob("index_ade20k.*"), None) or (path / "images" / "ADE").is_dir():
            raise SegkdError(f"{path}: the full ADE20K release; the 150 classes are in {_ARCHIVE}.zip")
        root = find_root(path, [_ARCHIVE], "annotations", _EXPECTED)
        images, masks = root / "images" / _FOLDERS[split], root / "annotations" / _FOLDERS[split]
        require_folders(images, masks, expected=_EXPECTED)
        pairs = pair_by_name(
            named_files(images, *IMAGE_SUFFIXES), named_files(masks, ".png"), mask_form=f"{masks}/{{}}.png"
        )
        self.labels = LABEL_SPACE
        self.form = "SceneParse150 annotations, as distributed"
        self.expected_count = _COUNTS[split]
        self.file_values = tuple(range(1, len(NAMES) + 1))
        self._set_files(
            pairs, ClassPng(value_map(), "ADE20K's annotation files hold 0 to 150"), f"no *.jpg in {images}"
        )
