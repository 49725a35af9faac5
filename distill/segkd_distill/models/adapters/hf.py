"""``hf:FOLDER|HUB-ID``: semantic segmentation models that Hugging Face transformers saved.

A SegFormer becomes a network of our own with all its taps; transformers is needed for none of it but the download.
Any other model with ``AutoModelForSemanticSegmentation`` gives its logits.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segkd.errors import SegkdError, import_extra
from segkd.files import read_json
from segkd_distill.models.adapters.logits import LogitsNetwork
from segkd_distill.models.checkpoints import read_checkpoint
from segkd_distill.models.checkpoints.loading import load_checkpoint
from segkd_distill.models.segmenter import IMAGENET_MEAN, IMAGENET_STD, Segmenter
from segkd_distill.models.sources import Teacher
from segkd_distill.models.zoo import MODELS, ModelConfig, build_model

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")

# What a SegFormer's configuration means where it says nothing, and what segkd's network has fixed.
_DEFAULTS: dict[str, Any] = {
    "hidden_sizes": [32, 64, 160, 256],
    "depths": [2, 2, 2, 2],
    "num_attention_heads": [1, 2, 5, 8],
    "sr_ratios": [8, 4, 2, 1],
    "mlp_ratios": [4, 4, 4, 4],
    "drop_path_rate": 0.1,
    "decoder_hidden_size": 256,
    "classifier_dropout_prob": 0.1,
}
_FIXED: dict[str, Any] = {
    "num_channels": 3,
    "num_encoder_blocks": 4,
    "patch_sizes": [7, 3, 3, 3],
    "strides": [4, 2, 2, 2],
    "hidden_act": "gelu",
}


def open_teacher(place: str, weights: str | Path | None, num_classes: int) -> Teacher:
    """Open a model as a teacher.

    Args:
        place: a folder that ``save_pretrained`` wrote, or a name on the hub.
        weights: must be None: the folder has them.
        num_classes: not used: the folder tells.

    Raises:
        SegkdError: if it is not there, is no semantic segmentation model, or lacks weights.
        MissingExtra: if transformers is needed and not installed.
    """
    if weights is not None:
        raise SegkdError(f"teacher hf:{place} has its own weights; leave out {weights}")
    folder = find_folder(place)
    config = _read_config(folder)
    names = class_names(config)
    if config.get("model_type") != "segformer":
        return Teacher(_SemanticModel.load(folder), names)
    checkpoint = read_checkpoint(_weights_file(folder))
    if checkpoint.num_classes is None:
        raise SegkdError(
            f"hf:{place} has no segmentation head (only an encoder): nothing falls back to random weights; give a "
            "model that was trained for segmentation"
        )
    network = build_model(segformer_config(config, normalisation(folder)), checkpoint.num_classes)
    load_checkpoint(network, checkpoint)
    return Teacher(network, names if names is not None and len(names) == checkpoint.num_classes else None)


def open_student(place: str, num_classes: int) -> tuple[Segmenter, ModelConfig]:
    """A SegFormer to go on training; its classifier starts fresh where it is for another number of classes.

    Raises:
        SegkdError: if it is not there or no SegFormer.
        MissingExtra: if transformers is needed for a download and not installed.
    """
    folder = find_folder(place)
    config = _read_config(folder)
    if config.get("model_type") != "segformer":
        raise SegkdError(
            f"hf:{place} is a {config.get('model_type')}: it can teach but not be trained here; a SegFormer can"
        )
    architecture = segformer_config(config, normalisation(folder))
    network = build_model(architecture, num_classes)
    checkpoint = read_checkpoint(_weights_file(folder))
    if checkpoint.is_backbone:
        backbone = {name.removeprefix("backbone."): value for name, value in checkpoint.tensors.items()}
        network.backbone.load_state_dict(backbone)
        print(f"student hf:{place}: the encoder's weights; the head starts fresh", file=sys.stderr)
    else:
        print(
            f"student hf:{place}: {load_checkpoint(network, checkpoint, other_classes=True).summary()}", file=sys.stderr
        )
    return network, architecture


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
    small = ["*.json", "*.safetensors"]
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


def _read_config(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG).is_file():
        raise SegkdError(f"hf:{folder} has no {CONFIG}; expected a folder that transformers' save_pretrained wrote")
    values = read_json(folder / CONFIG)
    if not isinstance(values, dict):
        raise SegkdError(f"{folder / CONFIG} holds no model's configuration")
    return values


def _weights_file(folder: Path) -> Path:
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
    """What ``preprocessor_config.json`` says, times 255; ImageNet's mean and deviation, said so, without one.

    Raises:
        SegkdError: if the file is malformed.
    """
    path = folder / PREPROCESSOR
    if not path.is_file():
        print(f"hf:{folder} has no {PREPROCESSOR}: ImageNet's mean and deviation are used", file=sys.stderr)
        return Preprocessing()
    values = read_json(path)
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


def segformer_config(config: Mapping[str, Any], pixels: Preprocessing) -> ModelConfig:
    """Our architecture for a SegFormer's ``config.json``; a published size keeps its name.

    Raises:
        SegkdError: for a setting that our network does not have.
    """
    for key, value in _FIXED.items():
        if _plain(config.get(key, value)) != value:
            raise SegkdError(f"a SegFormer with {key} {config[key]} is not known here, only {value}")
    values = {key: config.get(key, default) for key, default in _DEFAULTS.items()}
    built = ModelConfig(
        "segformer",
        "mit",
        "segformer",
        {
            "widths": tuple(values["hidden_sizes"]),
            "depths": tuple(values["depths"]),
            "heads": tuple(values["num_attention_heads"]),
            "reductions": tuple(values["sr_ratios"]),
            "expansions": tuple(values["mlp_ratios"]),
            "drop_path": values["drop_path_rate"],
        },
        {"channels": values["decoder_hidden_size"], "dropout": values["classifier_dropout_prob"]},
        mean=pixels.mean,
        std=pixels.std,
    )
    for name, known in MODELS.items():
        same_head = known.head_options.get("channels") == built.head_options["channels"]
        if known.backbone == "mit" and same_head and known.backbone_options.items() <= built.backbone_options.items():
            return ModelConfig(**{**vars(built), "name": name})
    return built


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


class _SemanticModel(LogitsNetwork):
    """A transformers model whose output has ``logits`` (N, K, h, w).

    Args:
        model: the model.
        pixels: what it expects.
    """

    def __init__(self, model: nn.Module, num_classes: int, pixels: Preprocessing) -> None:
        super().__init__(num_classes, mean=pixels.mean, std=pixels.std)
        self.model = model
        self.bgr = pixels.bgr
        if pixels.bgr:  # mean and deviation are for the model's channels
            self.mean, self.std = self.mean.flip(1), self.std.flip(1)

    @classmethod
    def load(cls, folder: Path) -> _SemanticModel:
        """Load a folder; every weight must be in it.

        Raises:
            SegkdError: if transformers cannot make a semantic segmentation model of it.
            MissingExtra: if transformers is not installed.
        """
        transformers = import_extra("transformers", "hf")
        try:
            model, report = transformers.AutoModelForSemanticSegmentation.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, output_loading_info=True
            )
        except (OSError, ValueError, ImportError, RuntimeError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise SegkdError(
                f"hf:{folder}: transformers makes no semantic segmentation model of it ({reason})"
            ) from error
        absent = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
        if absent:
            raise SegkdError(
                f"hf:{folder} lacks {len(absent)} of the model's weights ({', '.join(absent[:3])}): nothing falls back "
                "to random weights; give a model that was trained for segmentation"
            )
        return cls(model, model.config.num_labels, normalisation(folder))

    def logits(self, pixels: Tensor) -> Tensor:
        """The model's logits.

        Raises:
            SegkdError: if the model cannot take images of this size; some take only the one of their training.
        """
        try:
            logits: Tensor = self.model(pixel_values=pixels.flip(1) if self.bgr else pixels).logits
        except (RuntimeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            config: Any = self.model.config
            own, reason = getattr(config, "image_size", None), " ".join(str(error).split())[:120]
            raise SegkdError(
                f"the teacher, a {config.model_type}, failed on images of {pixels.shape[2]}x"
                f"{pixels.shape[3]} ({reason}); it was trained at {own or 'a size of its own'}: try --imgsz"
            ) from error
        return logits
