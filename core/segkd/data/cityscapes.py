"""Cityscapes, and every data set in its folders (the built-in street scenes among them).

    {root}/leftImg8bit/{split}/{city}/{city}_{sequence}_{frame}_leftImg8bit.png
    {root}/gtFine/{split}/{city}/{city}_{sequence}_{frame}_gtFine_labelIds.png

The label files hold ids 0..33; a table turns them into the 19 classes that are scored, so that the official script
that writes ``labelTrainIds`` files is not needed.
Ids, names and colours: mcordts/cityscapesScripts, ``cityscapesscripts/helpers/labels.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import IGNORE, Dataset, LabelSpace
from segkd.data.decode import read_class_values, read_rgb
from segkd.data.pairing import pair_by_name
from segkd.data.value_map import ValueMap
from segkd.errors import SegkdError, unknown_name


class CityscapesClass(NamedTuple):
    """A scored class: its id in ``labelIds`` files, its name and its RGB colour."""

    label_id: int
    name: str
    colour: tuple[int, int, int]


# In the order of the train ids 0..18.
CLASSES: tuple[CityscapesClass, ...] = (
    CityscapesClass(7, "road", (128, 64, 128)),
    CityscapesClass(8, "sidewalk", (244, 35, 232)),
    CityscapesClass(11, "building", (70, 70, 70)),
    CityscapesClass(12, "wall", (102, 102, 156)),
    CityscapesClass(13, "fence", (190, 153, 153)),
    CityscapesClass(17, "pole", (153, 153, 153)),
    CityscapesClass(19, "traffic light", (250, 170, 30)),
    CityscapesClass(20, "traffic sign", (220, 220, 0)),
    CityscapesClass(21, "vegetation", (107, 142, 35)),
    CityscapesClass(22, "terrain", (152, 251, 152)),
    CityscapesClass(23, "sky", (70, 130, 180)),
    CityscapesClass(24, "person", (220, 20, 60)),
    CityscapesClass(25, "rider", (255, 0, 0)),
    CityscapesClass(26, "car", (0, 0, 142)),
    CityscapesClass(27, "truck", (0, 0, 70)),
    CityscapesClass(28, "bus", (0, 60, 100)),
    CityscapesClass(31, "train", (0, 80, 100)),
    CityscapesClass(32, "motorcycle", (0, 0, 230)),
    CityscapesClass(33, "bicycle", (119, 11, 32)),
)
LABEL_IDS: dict[str, int] = {c.name: c.label_id for c in CLASSES}

# Ids that exist and have no scored class: ground, tunnels, caravans, the camera's own car, number plates (255), ...
IGNORED_LABEL_IDS = (*sorted(set(range(34)) - set(LABEL_IDS.values())), 255)

LABEL_SPACE = LabelSpace(tuple(c.name for c in CLASSES), tuple(c.colour for c in CLASSES))

# How a label file's name ends, and what its values are, by the option ``labels``.
_IMAGE_SUFFIX = "_leftImg8bit.png"
_MASK_SUFFIXES = {"ids": "_gtFine_labelIds.png", "train_ids": "_gtFine_labelTrainIds.png"}


def label_id_map() -> ValueMap:
    """Label ids 0..33 and 255 to class indices."""
    indices = {c.label_id: index for index, c in enumerate(CLASSES)}
    return ValueMap(indices | dict.fromkeys(IGNORED_LABEL_IDS, IGNORE))


def train_id_map() -> ValueMap:
    """Train ids 0..18 and 255 to class indices: themselves."""
    return ValueMap({index: index for index in range(len(CLASSES))} | {IGNORE: IGNORE})


class Cityscapes(Dataset):
    """Finely labelled Cityscapes images: ``cityscapes:PATH[,labels=ids|train_ids|auto]``.

    Args:
        path: the folder that holds ``leftImg8bit`` and ``gtFine``.
        split: ``train`` or ``val``; the labels of ``test`` are not public.
        labels: which label files to read; ``auto`` takes ``labelTrainIds`` only where there are no ``labelIds``.

    Raises:
        SegkdError: if the split's images or labels are not there, or an option has another value.
    """

    OPTIONS = frozenset({"labels"})

    def __init__(self, path: Path, *, split: str = "val", labels: str = "auto") -> None:
        if labels not in (*_MASK_SUFFIXES, "auto"):
            raise unknown_name("value of the Cityscapes option labels", labels, [*_MASK_SUFFIXES, "auto"])
        if split == "test":
            raise SegkdError(f"{path}: the labels of Cityscapes' test split are not public; use train or val")
        image_folder, mask_folder = path / "leftImg8bit" / split, path / "gtFine" / split
        for folder in (image_folder, mask_folder):
            if not folder.is_dir():
                raise SegkdError(f"no folder {folder}; Cityscapes has leftImg8bit/{split} and gtFine/{split} in {path}")
        kind = _label_kind(mask_folder) if labels == "auto" else labels
        mask_suffix = _MASK_SUFFIXES[kind]
        pairs = pair_by_name(
            _named(image_folder, _IMAGE_SUFFIX),
            _named(mask_folder, mask_suffix),
            mask_form=f"{mask_folder}/*/{{}}{mask_suffix}",
        )
        if not pairs.images and not pairs.problems:
            raise SegkdError(f"no */*{_IMAGE_SUFFIX} in {image_folder}")
        self.labels = LABEL_SPACE
        self.ids, self._images, self._masks, self.problems = pairs
        self._value_map = label_id_map() if kind == "ids" else train_id_map()
        self._advice = f"{mask_suffix} files hold " + ("0 to 33 and 255" if kind == "ids" else "0 to 18 and 255")

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
        return self._value_map.apply(read_class_values(path), path, self._advice)


def _named(folder: Path, suffix: str) -> list[tuple[str, Path]]:
    """(``{city}_{sequence}_{frame}``, file) of every file ``{city}/...{suffix}``."""
    return [(path.name.removesuffix(suffix), path) for path in sorted(folder.glob(f"*/*{suffix}"))]


def _label_kind(folder: Path) -> str:
    for kind, suffix in _MASK_SUFFIXES.items():
        if any(folder.glob(f"*/*{suffix}")):
            return kind
    raise SegkdError(f"no */*{_MASK_SUFFIXES['ids']} in {folder}; unpack gtFine_trainvaltest.zip there")
