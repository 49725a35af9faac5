"""A user's own albumentations transforms, from a YAML file, checked before anything is trained with them."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # read by albumentations' import, which asks the network else

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.data.base import IGNORE
from segkd.errors import SegkdError, unknown_name
from segkd.files.yaml_lines import read_yaml_file
from segkd_distill.data.geometry import Pipeline, Pixels

# Both belong to the device: the pixels stay uint8 until they are there.
_ON_THE_DEVICE = ("Normalize", "ToFloat", "FromFloat", "ToTensorV2", "ToTensor3D")
# Arguments of earlier versions, which albumentations answers with a warning.
_RENAMED = {
    "always_apply": "p",
    "value": "fill",
    "fill_value": "fill",
    "mask_value": "fill_mask",
    "mask_fill_value": "fill_mask",
    "mode": "border_mode",
    "cval": "fill",
    "cval_mask": "fill_mask",
    "var_limit": "std_range",
    "mean": "mean_range",
    "max_holes": "num_holes_range",
}
_NEAREST = (cv2.INTER_NEAREST, cv2.INTER_NEAREST_EXACT)
# What albumentations' to_dict writes at the top of a Compose, with the values that mean nothing here.
_COMPOSE_NOTHING: dict[str, Any] = {
    "p": 1.0,
    "bbox_params": None,
    "keypoint_params": None,
    "additional_targets": {},
    "is_check_shapes": True,
    "seed": None,
}

Transforms = list[dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class UserTransforms:
    """Transforms in place of a :class:`~segkd_distill.data.geometry.Geometry`.

    Attributes:
        crop: (height, width) in pixels of the result.
        transforms: ``{Name: {argument: value}}``, in order.
    """

    crop: tuple[int, int]
    transforms: Transforms


class UserPipeline(Pipeline):
    """The transforms of a user.

    Raises:
        SegkdError: as :func:`build_transforms` does; when called, if the transforms give another size or type.
    """

    def __init__(self, settings: UserTransforms) -> None:
        super().__init__(settings.crop, build_transforms(settings.transforms))

    def _transform(self, image: Pixels, mask: Pixels | None) -> tuple[Pixels, Pixels]:
        labels = np.full(image.shape[:2], IGNORE, np.uint8) if mask is None else mask
        # Copies: a transform may write into its input, which is shared or mapped from a file.
        try:
            result = self._compose(image=np.array(image), mask=np.array(labels))
        except MemoryError:
            raise
        except Exception as error:  # albumentations, OpenCV and numpy raise many kinds
            raise SegkdError(_failed(error, image)) from error
        image, labels = result["image"], result["mask"]
        if image.shape != (*self.crop, 3) or labels.shape != self.crop:
            raise SegkdError(
                f"augment.transforms give an image of {_size(image)} and a mask of {_size(labels)}, augment.crop is "
                f"{self.crop[0]}x{self.crop[1]}: end them with a crop of that size (RandomCrop with pad_if_needed)"
            )
        if image.dtype != np.uint8 or labels.dtype != np.uint8:
            raise SegkdError(
                f"augment.transforms give {image.dtype} images and {labels.dtype} masks; both must stay uint8, "
                "colours become numbers on the device"
            )
        return image, labels


def read_transforms(path: Path) -> Transforms:
    """Read a YAML file: a list of ``Name`` or ``Name: {argument: value}``, or what albumentations' ``to_dict`` gives.

    Raises:
        SegkdError: naming the file, if it is neither, or names something that :func:`build_transforms` refuses.
    """
    try:
        value, _ = read_yaml_file(path.expanduser())
    except SegkdError as error:
        raise SegkdError(f"augment.file {error}") from error
    try:
        if isinstance(value, dict) and "transform" in value:
            transforms = _from_compose(value["transform"])
        elif isinstance(value, list):
            transforms = [_plain(item) for item in value]
        else:
            raise SegkdError("expected a list of transforms, or the form of albumentations' to_dict")
        build_transforms(transforms, remark=True)
    except SegkdError as error:
        raise SegkdError(f"{path}: {error}") from error
    return transforms


def build_transforms(transforms: Sequence[Mapping[str, Any] | str], *, remark: bool = False) -> list[Any]:
    """The transforms of a list.

    Differs from albumentations: an unknown argument is an error and not a warning; what has no label (``fill_mask``) is
    255 and not class 0, unless it is given.

    Args:
        transforms: ``Name`` or ``{Name: {argument: value}}``, in order.
        remark: whether to print, to stderr, what albumentations warns of (a slow transform, a better successor), and
            where what has no label becomes class 0.

    Raises:
        SegkdError: for a name or argument that albumentations does not have (saying the nearest), a value that it
            refuses, a transform that makes something else of pixels than uint8, or one that blends labels.
    """
    return [_build(_plain(item), remark) for item in transforms]


def _build(item: dict[str, dict[str, Any]], remark: bool) -> Any:
    ((name, given),) = item.items()
    cls, arguments = _checked(name, given)
    if "transforms" in arguments:
        arguments["transforms"] = build_transforms(arguments["transforms"], remark=remark)
    said = []
    if arguments.get("fill_mask") == 0:
        said.append("fill_mask is 0, so what has no label becomes class 0; 255 would ignore it")
    if "fill_mask" in _arguments(cls):
        arguments.setdefault("fill_mask", IGNORE)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            transform = cls(**arguments)
    except (ValueError, TypeError, NotImplementedError) as error:  # pydantic's errors are ValueErrors
        raise SegkdError(f"{name}: {_words(error)}") from error
    for line in [*said, *(str(warning.message) for warning in caught)] if remark else []:
        print(f"{name}: {line}", file=sys.stderr)
    return transform


def _checked(name: str, given: Mapping[str, Any]) -> tuple[type, dict[str, Any]]:
    """The class of a transform and its arguments, once they are known to exist."""
    if name in _ON_THE_DEVICE:
        raise SegkdError(f"{name}: leave it out, pixels stay uint8 and are normalised on the device")
    cls = _classes().get(name)
    if cls is None:
        raise unknown_name("transform", name, _classes())
    arguments = dict(given)
    known = _arguments(cls)
    for key in arguments:
        if key not in known:
            renamed = _RENAMED.get(key)
            problem = f"argument {key!r} is called {renamed!r} now" if renamed in known else None
            raise SegkdError(f"{name}: {problem or unknown_name('argument', key, known)}")
    if not isinstance(arguments.get("transforms", []), list):
        raise SegkdError(f"{name}: transforms: expected a list, got {arguments['transforms']!r}")
    if arguments.get("mask_interpolation", cv2.INTER_NEAREST) not in _NEAREST:
        raise SegkdError(f"{name}: mask_interpolation must be 0 (nearest): labels cannot be blended")
    return cls, arguments


def _words(error: Exception) -> str:
    """The first problem in an error of albumentations or pydantic, in one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    if len(lines) > 2 and "validation error" in lines[0]:
        return f"{lines[1]}: {lines[2].partition(' [type=')[0]}"
    return " ".join(lines) or "cannot be used by itself"


def _failed(error: Exception, image: NDArray[np.uint8]) -> str:
    """Which transform could not be applied to which image, and what to do."""
    places = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    named = [type(place).__name__ for place in places if isinstance(place, A.BasicTransform)]
    words = (
        f"augment.transforms: {named[-1] if named else 'one of them'}: {_words(error)} (image {_size(image[..., 0])})"
    )
    if "crop" in words.lower():
        return f"{words}; give it pad_if_needed: true, or a size that fits into every image"
    return f"{words}; change its arguments, or leave it out"


def _classes() -> dict[str, type]:
    """Everything that can stand in a list, by name."""
    from albumentations.core.composition import BaseCompose
    from albumentations.core.transforms_interface import BasicTransform

    found = {name: value for name, value in vars(A).items() if inspect.isclass(value)}
    kinds = (BasicTransform, BaseCompose)
    return {name: cls for name, cls in found.items() if issubclass(cls, kinds) and not issubclass(cls, A.Compose)}


def _arguments(cls: type) -> set[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name for name, parameter in inspect.signature(cls).parameters.items() if parameter.kind in kinds}


def _plain(item: Any) -> dict[str, dict[str, Any]]:
    """One transform as ``{Name: {argument: value}}``."""
    if isinstance(item, str):
        return {item: {}}
    if isinstance(item, dict) and "__class_fullname__" in item:
        return _from_dict(item)
    if isinstance(item, dict) and len(item) == 1:
        ((name, arguments),) = item.items()
        if arguments is None or isinstance(arguments, dict):
            return {str(name): dict(arguments or {})}
    raise SegkdError(f"expected Name, or Name: {{argument: value}}, got {item!r}")


def _from_dict(item: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """One entry of albumentations' ``to_dict``."""
    arguments = {key: value for key, value in item.items() if key != "__class_fullname__"}
    if isinstance(arguments.get("transforms"), list):
        arguments["transforms"] = [_plain(inner) for inner in arguments["transforms"]]
    return {str(item["__class_fullname__"]).rpartition(".")[2]: arguments}


def _from_compose(value: Any) -> Transforms:
    """The list inside the outermost Compose of albumentations' ``to_dict``."""
    plain = _plain(value)
    ((name, arguments),) = plain.items()
    if name != "Compose":
        return [plain]
    for key, given in arguments.items():
        if key != "transforms" and (key not in _COMPOSE_NOTHING or given != _COMPOSE_NOTHING[key]):
            raise SegkdError(f"Compose: {key}: {given!r} has no meaning here; leave it out")
    return list(arguments["transforms"])


def _size(pixels: NDArray[Any]) -> str:
    return "x".join(str(side) for side in pixels.shape)
