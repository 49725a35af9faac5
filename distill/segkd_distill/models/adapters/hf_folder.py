"""What a folder of Hugging Face transformers says: configuration, class names, normalisation, weights."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError, import_extra
from segkd.files import read_json
from segkd_distill.models.config import IMAGENET_MEAN, IMAGENET_STD

CONFIG, PREPROCESSOR, PROCESSOR = "config.json", "preprocessor_config.json", "processor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def find_folder(place: str) -> Path:
    """The folder of a local path, or of a name on the hub, downloaded into Hugging Face's cache.

    Raises:
        SegkdError: if there is neither.
    """
    folder = Path(place).expanduser()
    if folder.is_dir():
        return folder
    if place.startswith((".", "/", "~")) or place.count("/") > 1:
        raise SegkdError(f"no folder {place}; expected one that transformers' save_pretrained wrote")
    hub = import_extra("huggingface_hub", "hf")
    errors = import_extra("huggingface_hub.errors", "hf")
    small = ["*.json", "*.safetensors", "merges.txt"]
    try:
        found = Path(hub.snapshot_download(place, allow_patterns=small))
        if not list(found.glob("*.safetensors")):
            found = Path(hub.snapshot_download(place, allow_patterns=[*small, "pytorch_model*.bin"]))
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, errors.HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SegkdError(
            f"hf:{place}: there is no folder of that name, and the hub did not give it ({reason}); save the model "
            "with save_pretrained where there is a network, and name the folder"
        ) from error
    return found


def read_config(folder: Path) -> dict[str, Any]:
    """The model's configuration.

    Raises:
        SegkdError: if it is not there or malformed.
    """
    if not (folder / CONFIG).is_file():
        raise SegkdError(f"hf:{folder} has no {CONFIG}; expected a folder that transformers' save_pretrained wrote")
    values = read_json(folder / CONFIG)
    if not isinstance(values, dict):
        raise SegkdError(f"{folder / CONFIG} holds no model's configuration")
    return values


def weights_file(folder: Path) -> Path:
    """The one file of weights.

    Raises:
        SegkdError: if there is none.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise SegkdError(f"hf:{folder} has no {' or '.join(WEIGHTS)}; weights in several files are not read: save it again")


def class_names(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """``id2label`` in the order of the ids; None where it is missing or says no more than LABEL_0, LABEL_1."""
    labels = config.get("id2label")
    if not isinstance(labels, Mapping) or not labels:
        return None
    names = {int(key): str(value) for key, value in labels.items()}
    if sorted(names) != list(range(len(names))) or all(name == f"LABEL_{key}" for key, name in names.items()):
        return None
    return tuple(names[key] for key in sorted(names))


@dataclass(frozen=True)
class Preprocessing:
    """What a model expects of its input.

    Attributes:
        mean: in 0..255, in the model's channel order.
        std: in 0..255.
        bgr: whether that order is blue, green, red.
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    bgr: bool = False


def normalisation(folder: Path) -> Preprocessing:
    """Mean and deviation of the image processor, times 255; ImageNet's, said so, where none was saved.

    Raises:
        SegkdError: if the file is malformed.
    """
    path, values = folder / PREPROCESSOR, None
    if path.is_file():
        values = read_json(path)
    elif (folder / PROCESSOR).is_file():  # one file for text and pixels, as OneFormer's processor saves
        path = folder / PROCESSOR
        combined = read_json(path)
        values = combined.get("image_processor") if isinstance(combined, Mapping) else combined
    if values is None:
        print(f"hf:{folder} has no {PREPROCESSOR}: ImageNet's mean and deviation are used", file=sys.stderr)
        return Preprocessing()

    try:
        scale = 1 / float(values.get("rescale_factor", 1 / 255)) if values.get("do_rescale", True) else 1.0
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        if values.get("do_normalize", "image_mean" in values):
            mean, std = values["image_mean"], values["image_std"]
        mean_px, std_px = (tuple(float(value) * scale for value in part) for part in (mean, std))
        bgr = bool(values.get("do_flip_channel_order", False))
        return Preprocessing((mean_px[0], mean_px[1], mean_px[2]), (std_px[0], std_px[1], std_px[2]), bgr)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise SegkdError(f"{path} is malformed ({error!r}); expected image_mean and image_std") from error
