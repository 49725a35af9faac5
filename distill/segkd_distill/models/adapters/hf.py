"""``hf:FOLDER|HUB-ID``: semantic segmentation models that Hugging Face transformers saved.

A SegFormer becomes a network of our own with all its taps; transformers is needed for none of it but the download.
Any other model with ``AutoModelForSemanticSegmentation`` gives its logits, a mask classifier its scores per class.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd_distill.models.adapters.hf_folder import (
    Preprocessing,
    class_names,
    find_folder,
    normalisation,
    read_config,
    weights_file,
)
from segkd_distill.models.adapters.hf_masks import MASK_CLASSIFIERS, open_mask_classifier
from segkd_distill.models.adapters.hf_model import SemanticModel, load_model
from segkd_distill.models.checkpoints import read_checkpoint
from segkd_distill.models.checkpoints.loading import load_checkpoint
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.sources import Teacher
from segkd_distill.models.zoo import MODELS, ModelConfig, build_model

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
    config = read_config(folder)
    names = class_names(config)

    # Networks of transformers' own.
    model_type = str(config.get("model_type"))
    if model_type in MASK_CLASSIFIERS:
        return Teacher(open_mask_classifier(folder, model_type), names)
    if model_type != "segformer":
        model = load_model(folder, "AutoModelForSemanticSegmentation")
        return Teacher(SemanticModel(model, normalisation(folder)), names)

    # A SegFormer is a network of ours.
    checkpoint = read_checkpoint(weights_file(folder))
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
    config = read_config(folder)
    if config.get("model_type") != "segformer":
        raise SegkdError(
            f"hf:{place} is a {config.get('model_type')}: it can teach but not be trained here; a SegFormer can"
        )
    architecture = segformer_config(config, normalisation(folder))
    network = build_model(architecture, num_classes)
    checkpoint = read_checkpoint(weights_file(folder))
    if checkpoint.is_backbone:
        backbone = {name.removeprefix("backbone."): value for name, value in checkpoint.tensors.items()}
        network.backbone.load_state_dict(backbone)
        print(f"student hf:{place}: the encoder's weights; the head starts fresh", file=sys.stderr)
    else:
        print(
            f"student hf:{place}: {load_checkpoint(network, checkpoint, other_classes=True).summary()}", file=sys.stderr
        )
    return network, architecture


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
