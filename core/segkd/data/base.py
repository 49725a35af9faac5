"""What a data set is: a label space, and samples of uint8 pixels."""

from __future__ import annotations

import hashlib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError, unknown_name

IGNORE = 255

DATASETS: dict[str, str] = {
    "cityscapes": "segkd.data.readers.cityscapes:Cityscapes",
    "ade20k": "segkd.data.readers.ade20k:Ade20k",
    "pascal_voc": "segkd.data.readers.pascal_voc:PascalVoc",
    "pascal_context": "segkd.data.readers.pascal_context:PascalContext",
    "coco_stuff": "segkd.data.readers.coco_stuff:CocoStuff",
    "camvid": "segkd.data.readers.camvid:CamVid",
    "folder": "segkd.data.readers.folder:Folder",
    "images": "segkd.data.readers.images:Images",
}


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a data set, in the order of the network's outputs.

    Attributes:
        names: one name per class.
        palette: one RGB colour (0..255) per class.
        ignore: the mask value of pixels without a class; 255 everywhere in segkd.
    """

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore: int = IGNORE

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= IGNORE:
            raise SegkdError(f"a label space has 1 to {IGNORE} classes, this one {len(self.names)}")
        if len(self.palette) != len(self.names):
            raise SegkdError(f"{len(self.names)} class names but {len(self.palette)} colours")

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.names)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, for JSON."""
        return {"names": list(self.names), "palette": [list(c) for c in self.palette], "ignore": self.ignore}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LabelSpace:
        """The inverse of :meth:`to_dict`."""
        palette = tuple((int(r), int(g), int(b)) for r, g, b in values["palette"])
        return cls(tuple(values["names"]), palette, int(values.get("ignore", IGNORE)))


class Sample(NamedTuple):
    """One image with its labels.

    Attributes:
        image: uint8 RGB, (height, width, 3).
        mask: uint8 class indices, (height, width); 255 = ignore.
        id: the image's name inside its data set, unique and stable.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    id: str


class Problem(NamedTuple):
    """Something that is wrong with a file of a data set."""

    path: Path
    what: str


class DataFileError(SegkdError):
    """A file of a data set cannot be used.

    Args:
        path: the file.
        what: what is wrong with it, and what to do.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(path, what)
        self.problem = Problem(path, what)

    def __str__(self) -> str:
        return f"{self.problem.path}: {self.problem.what}"


class Dataset(ABC):
    """An ordered collection of images with one label space.

    Subclasses fill ``labels`` (unless they have no masks) and ``ids`` and read single files; they open no image before
    ``read``.

    Attributes:
        OPTIONS: what may follow the path as ``option=value``, besides ``split`` and ``frames``.
        SPLITS: the splits that have labels, as ``segkd data check`` goes through them.
        CLASSES: how many classes there are, in words; with the option that chooses.
        LAYOUT: the folders, in one line each.
        ids: the images' names, in reading order.
        has_masks: False for plain frames.
        problems: files that found no partner when the data set was opened; ``ids`` leaves them out.
        remarks: what was left out when the data set was opened and is no fault, one line per kind.
        form: which of several forms of the files was found, in a few words.
        expected_count: images in the published split, where that is known.
        declared: value of a label file -> name and colour of its class, where a user declared colours.
        file_values: the value that the distributed label files have for each class, where there is one per class.
    """

    OPTIONS: ClassVar[frozenset[str]] = frozenset()
    SPLITS: ClassVar[tuple[str, ...]] = ("train", "val")
    CLASSES: ClassVar[str] = ""
    LAYOUT: ClassVar[tuple[str, ...]] = ()
    ids: list[str]
    has_masks: bool = True
    problems: Sequence[Problem] = ()
    remarks: Sequence[str] = ()
    form: str = ""
    expected_count: int | None = None
    declared: Mapping[int, tuple[str, tuple[int, int, int]]] = MappingProxyType({})
    file_values: tuple[int, ...] | None = None
    _labels: LabelSpace | None = None

    @property
    def labels(self) -> LabelSpace:
        """The classes.

        Raises:
            SegkdError: for plain frames, which have none.
        """
        if self._labels is None:
            raise SegkdError("these images have no masks, so no classes; use a data set with masks here")
        return self._labels

    @labels.setter
    def labels(self, labels: LabelSpace) -> None:
        self._labels = labels

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def image_path(self, index: int) -> Path:
        """The file of an image."""

    @abstractmethod
    def mask_path(self, index: int) -> Path | None:
        """The file of a mask, or None where the data set has no masks."""

    @abstractmethod
    def read_image(self, index: int) -> NDArray[np.uint8]:
        """One image as uint8 RGB (height, width, 3).

        Raises:
            SegkdError: naming the file, if it cannot be read.
        """

    @abstractmethod
    def read_mask(self, index: int) -> NDArray[np.uint8]:
        """One mask as uint8 class indices (height, width), 255 = ignore.

        Raises:
            SegkdError: naming the file, if it cannot be read or holds a value that is no class.
        """

    def read(self, index: int) -> Sample:
        """One image with its mask.

        Raises:
            SegkdError: naming the file, if one cannot be read, holds an undeclared value, or sizes differ.
        """
        image, mask = self.read_image(index), self.read_mask(index)
        if image.shape[:2] != mask.shape:
            turned = self._turned(index, image, mask)
            raise DataFileError(
                self.mask_path(index) or self.image_path(index),
                f"mask is {mask.shape[0]}x{mask.shape[1]} (height x width), "
                f"its image {image.shape[0]}x{image.shape[1]}{turned}; make them the same size",
            )
        return Sample(image, mask, self.ids[index])

    def _turned(self, index: int, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> str:
        """Words for a mask that only fits its image as it was stored, before its EXIF orientation turned it."""
        if image.shape[1::-1] != mask.shape:
            return ""
        from segkd.data.formats.decode import read_bytes
        from segkd.data.formats.exif import orientation

        value = orientation(read_bytes(self.image_path(index)))
        return f" once turned upright by its EXIF orientation {value}: the mask was drawn on the picture as stored" * (
            value != 1
        )

    def fingerprint(self) -> str:
        """A hash of the file names, sizes and label space: changes when the data set does."""
        classes = (self.labels.names, self.labels.ignore) if self.has_masks else ()
        digest = hashlib.sha256(repr(classes).encode())
        for index, name in enumerate(self.ids):
            for path in (self.image_path(index), self.mask_path(index)):
                size = path.stat().st_size if path is not None and path.exists() else -1
                digest.update(f"{name}:{size}\n".encode())
        return digest.hexdigest()[:16]


def parse_spec(spec: str) -> tuple[str, Path, dict[str, str]]:
    """Split ``NAME:PATH[,option=value...]``.

    Raises:
        SegkdError: if it has no name or no path, or an option has no value.
    """
    name, separator, rest = spec.partition(":")
    path, *options = rest.split(",")
    if not separator or not name or not path:
        own = f"; a folder of your own is folder:{spec}" if not separator and Path(path).expanduser().is_dir() else ""
        raise SegkdError(
            f"data {spec!r}: expected NAME:PATH[,option=value], NAME one of {', '.join(DATASETS)} "
            f"(for example cityscapes:/data/cityscapes){own}"
        )
    pairs: dict[str, str] = {}
    for option in options:
        key, equals, value = (part.strip() for part in option.partition("="))
        if not equals or not value:
            raise SegkdError(f"data {spec!r}: option {option!r} has no value; write option=value")
        pairs[key] = value
    return name, Path(path).expanduser(), pairs


def absolute_spec(spec: str) -> str:
    """A specification that holds in any working folder; what follows the path is normalised too."""
    name, path, options = parse_spec(spec)
    frames = options.get("frames", "")
    if frames.startswith("@") and Path(frames[1:]).is_file():
        options["frames"] = f"@{Path(frames[1:]).absolute()}"
    return f"{name}:{path.absolute()}" + "".join(f",{key}={value}" for key, value in options.items())


def dataset_class(name: str) -> type[Dataset]:
    """The reader behind a name.

    Raises:
        SegkdError: for an unknown name.
    """
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    module, attribute = DATASETS[name].split(":")
    reader: type[Dataset] = getattr(importlib.import_module(module), attribute)
    return reader


def open_dataset(spec: str, split: str = "val", *, strict: bool = True) -> Dataset:
    """Open a data set by its specification.

    Args:
        spec: ``NAME:PATH[,option=value...]``; every data set also takes ``frames=START:STOP[:STEP]`` (a Python slice)
            and ``frames=@LIST`` (:mod:`segkd.data.frames`).
        split: ``train``, ``val`` or another split that the data set has; the option ``split=`` wins.
        strict: whether an image without a mask (or the reverse) is an error; otherwise it is in ``problems``.

    Raises:
        SegkdError: for an unknown name or option, a path that is not there, or a data set without images or with
            files that have no partner.
    """
    from segkd.data.frames import choose_frames

    name, path, options = parse_spec(spec)
    reader = dataset_class(name)
    if not path.is_dir():
        raise SegkdError(f"data {spec!r}: no folder {path}")
    frames = options.pop("frames", None)
    known = set(reader.OPTIONS)
    for key in options:
        if key not in known | {"split"}:
            raise unknown_name(f"option of {name}", key, known | {"split", "frames"})
    split = options.pop("split", split)
    dataset: Dataset = reader(path, split=split, **options)  # type: ignore[call-arg]  # every reader takes these
    if strict and dataset.problems:
        first, count = dataset.problems[0], len(dataset.problems)
        others = f"; {count} such files in all, `segkd data check {spec}` lists them" if count > 1 else ""
        raise SegkdError(f"{first.path}: {first.what}{others}")
    if frames is not None:
        dataset = choose_frames(dataset, frames, path)
    if strict and not len(dataset):
        raise SegkdError(f"data {spec!r}: no images for split {split!r}")
    return dataset
