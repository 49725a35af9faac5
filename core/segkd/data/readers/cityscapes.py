"""Cityscapes, and every data set in its folders (the built-in street scenes among them).

    {root}/leftImg8bit/{split}/{city}/{city}_{sequence}_{frame}_leftImg8bit.png
    {root}/gtFine/{split}/{city}/{city}_{sequence}_{frame}_gtFine_labelIds.png        train, val
    {root}/gtCoarse/{split}/{city}/{city}_{sequence}_{frame}_gtCoarse_labelIds.png    train, val, train_extra

The label files hold ids 0..33; a table turns them into the 19 classes that are scored, so that the official script
that writes ``labelTrainIds`` files is not needed.
Ids, names and colours: mcordts/cityscapesScripts, ``cityscapesscripts/helpers/labels.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from segkd.data.base import IGNORE, LabelSpace
from segkd.data.formats.value_map import ValueMap
from segkd.data.layout.listing import named_files, require_choice, require_folders
from segkd.data.layout.paired_files import ClassPng, PairedFiles
from segkd.data.layout.pairing import Pairs, by_name, pair_by_name
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

_IMAGE_SUFFIX = "_leftImg8bit.png"
# How a label file's name ends, after its quality, by the option ``labels``.
_MASK_SUFFIXES = {"ids": "labelIds.png", "train_ids": "labelTrainIds.png"}
# The folder of each quality of annotation, and the images of its splits.
_QUALITIES = {"fine": "gtFine", "coarse": "gtCoarse"}
_COUNTS = {
    "fine": {"train": 2975, "val": 500},
    "coarse": {"train": 2975, "val": 500, "train_extra": 19998},
}
_TEST_COUNT = 1525
# The published ones; any other folder is a split too.
SPLITS = ("train", "val", "test", "train_extra")
# Other data in Cityscapes' folders, whose splits have their own sizes.
_STREET_SCENES = "segkd-synth.json"


def label_id_map() -> ValueMap:
    """Label ids 0..33 and 255 to class indices."""
    indices = {c.label_id: index for index, c in enumerate(CLASSES)}
    return ValueMap(indices | dict.fromkeys(IGNORED_LABEL_IDS, IGNORE))


def train_id_map() -> ValueMap:
    """Train ids 0..18 and 255 to class indices: themselves."""
    return ValueMap({index: index for index in range(len(CLASSES))} | {IGNORE: IGNORE})


class Cityscapes(PairedFiles):
    """Cityscapes: ``cityscapes:PATH[,labels=ids|train_ids|auto][,quality=fine|coarse]``.

    Args:
        path: the folder that holds ``leftImg8bit`` and ``gtFine`` or ``gtCoarse``.
        split: ``train``, ``val``, ``train_extra`` (coarse), or ``test``: frames without masks, because the labels of
            the test split are not public.
        labels: which label files to read; ``auto`` takes ``labelTrainIds`` only where there are no ``labelIds``.
        quality: fine or coarse annotation; by default fine, and coarse for ``train_extra``, which has no other.

    Raises:
        SegkdError: if the split's images or labels are not there, or an option has another value.
    """

    OPTIONS = frozenset({"labels", "quality"})
    CLASSES = "19"
    LAYOUT = (
        "leftImg8bit/{split}/{city}/*_leftImg8bit.png",
        "gtFine/{train,val}/{city}/*_gtFine_labelIds.png (or labelTrainIds)",
        "gtCoarse/{train,val,train_extra}/{city}/*_gtCoarse_labelIds.png",
    )

    def __init__(self, path: Path, *, split: str = "val", labels: str = "auto", quality: str | None = None) -> None:
        require_choice("Cityscapes", "labels", labels, [*_MASK_SUFFIXES, "auto"])
        quality = quality or ("coarse" if split == "train_extra" else "fine")
        require_choice("Cityscapes", "quality", quality, _QUALITIES)
        ground_truth = _QUALITIES[quality]
        self.labels = LABEL_SPACE
        self.file_values = tuple(c.label_id for c in CLASSES)

        image_folder, mask_folder = path / "leftImg8bit" / split, path / ground_truth / split
        if split == "test":
            self._set_frames(image_folder)
            return
        if split not in SPLITS and image_folder.parent.is_dir() and not image_folder.is_dir():
            raise SegkdError(f"no folder {image_folder}; {unknown_name('split', split, SPLITS)}")

        expected = f"Cityscapes has leftImg8bit/{split} and {ground_truth}/{split} in {path}"
        require_folders(image_folder, mask_folder, expected=expected)
        kind = _label_kind(mask_folder, ground_truth) if labels == "auto" else labels
        mask_suffix = f"_{ground_truth}_{_MASK_SUFFIXES[kind]}"

        pairs = pair_by_name(
            _named(image_folder, _IMAGE_SUFFIX),
            _named(mask_folder, mask_suffix),
            mask_form=f"{mask_folder}/*/{{}}{mask_suffix}",
        )
        self.form = f"*{mask_suffix}, {'as distributed' if kind == 'ids' else 'made by cityscapesScripts'}"
        if not (path / _STREET_SCENES).is_file():
            self.expected_count = _COUNTS[quality].get(split)

        advice = f"{mask_suffix} files hold " + ("0 to 33 and 255" if kind == "ids" else "0 to 18 and 255")
        value_map = label_id_map() if kind == "ids" else train_id_map()
        self._set_files(pairs, ClassPng(value_map, advice), f"no */*{_IMAGE_SUFFIX} in {image_folder}")

    def _set_frames(self, folder: Path) -> None:
        """The images of the test split alone; its published label files hold no class."""
        require_folders(folder, expected="Cityscapes has leftImg8bit/test")
        frames, problems = by_name(_named(folder, _IMAGE_SUFFIX))
        names = sorted(frames)
        self.has_masks = False
        self.form, self.expected_count = "frames without public labels", _TEST_COUNT
        pairs = Pairs(names, [frames[name] for name in names], [], problems)
        self._set_files(pairs, ClassPng(label_id_map(), ""), f"no */*{_IMAGE_SUFFIX} in {folder}")


def _named(folder: Path, suffix: str) -> list[tuple[str, Path]]:
    """(``{city}_{sequence}_{frame}``, file) of every file ``{city}/...{suffix}``."""
    cities = sorted(city for city in folder.iterdir() if city.is_dir())
    return [named for city in cities for named in named_files(city, suffix)]


def _label_kind(folder: Path, ground_truth: str) -> str:
    for kind, suffix in _MASK_SUFFIXES.items():
        if any(folder.glob(f"*/*_{ground_truth}_{suffix}")):
            return kind
    archive = "gtFine_trainvaltest.zip" if ground_truth == "gtFine" else "gtCoarse.zip"
    raise SegkdError(f"no */*_{ground_truth}_{_MASK_SUFFIXES['ids']} in {folder}; unpack {archive} there")
