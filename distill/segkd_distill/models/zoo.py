"""The table of models, and how one is built."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from segkd.errors import SegkdError, unknown_name
from segkd_distill.models.backbones import BACKBONES
from segkd_distill.models.heads import HEADS
from segkd_distill.models.heads.fcn import FCNHead
from segkd_distill.models.segmenter import IMAGENET_MEAN, IMAGENET_STD, Segmenter


@dataclass(frozen=True)
class ModelConfig:
    """Everything that builds a network but its number of classes; goes into ``model.json``.

    Attributes:
        name: the model's name.
        backbone: a key of ``BACKBONES``.
        head: a key of ``HEADS``.
        backbone_options: keyword arguments of the backbone.
        head_options: keyword arguments of the head.
        auxiliary_channels: width of the auxiliary head on c3; None for no auxiliary head.
        mean: RGB mean in 0..255.
        std: RGB deviation in 0..255.
        align_corners: how maps and logits are resized.
        init_weights: ``kaiming`` as mmsegmentation does, or ``torch`` for torch's own, from which small networks that
            train with AdamW learn faster.
    """

    name: str
    backbone: str
    head: str
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    head_options: Mapping[str, Any] = field(default_factory=dict)
    auxiliary_channels: int | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    align_corners: bool = False
    init_weights: Literal["kaiming", "torch"] = "kaiming"

    def to_dict(self) -> dict[str, Any]:
        """As plain lists and dicts, for JSON."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The inverse of :meth:`to_dict`.

        Raises:
            SegkdError: for a key that is unknown or missing.
        """
        known = {item.name for item in fields(cls)}
        for key in values:
            if key not in known:
                raise unknown_name("key of a model's configuration", key, known)
        for key in ("name", "backbone", "head"):
            if key not in values:
                raise SegkdError(f"a model's configuration needs the key {key!r}")
        return cls(**{key: _frozen(value) for key, value in values.items()})


def _plain(value: Any) -> Any:
    """Tuples to lists, at any depth."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _frozen(value: Any) -> Any:
    """Lists to tuples, at any depth."""
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


def _table(*configs: ModelConfig) -> dict[str, ModelConfig]:
    return {config.name: config for config in configs}


# Strides instead of the max-pool, and dilation 2 in the last two stages: the maps are small.
_SMALL_RESNET = {
    "depth": 18,
    "stem_pool": False,
    "strides": (2, 2, 1, 1),
    "dilations": (1, 1, 2, 2),
    "contract_dilation": False,
    "dilate_both": True,
    "zero_init_residual": False,
}
# One pointwise ASPP branch and one dense convolution on c1's grid, where small networks have most to gain.
_SMALL_DECODER = {
    "dilations": (1,),
    "pool": False,
    "bottleneck_kernel": 1,
    "separable": False,
    "decoder_convs": 1,
    "dropout": 0.0,
}

MODELS: dict[str, ModelConfig] = _table(
    ModelConfig("pspnet-r18", "resnetv1c", "psp", {"depth": 18}, {"channels": 128}, 64),
    ModelConfig("pspnet-r50", "resnetv1c", "psp", {"depth": 50}, {"channels": 512}, 256),
    ModelConfig("pspnet-r101", "resnetv1c", "psp", {"depth": 101}, {"channels": 512}, 256),
    ModelConfig("pspnet-mv2", "mobilenetv2", "psp", {}, {"channels": 512}, 256),
    ModelConfig(
        "deeplabv3plus-r18", "resnetv1c", "deeplabv3plus", {"depth": 18}, {"channels": 128, "c1_channels": 12}, 64
    ),
    ModelConfig(
        "deeplabv3plus-r101", "resnetv1c", "deeplabv3plus", {"depth": 101}, {"channels": 512, "c1_channels": 48}, 256
    ),
    ModelConfig("deeplabv3plus-mv2", "mobilenetv2", "deeplabv3plus", {}, {"channels": 512, "c1_channels": 48}, 256),
    # Small networks that train on a CPU in minutes at 128x256, with AdamW and from nothing.
    ModelConfig(
        "quickstart-teacher",
        "resnetv1c",
        "deeplabv3plus",
        {**_SMALL_RESNET, "blocks": (2, 2, 1, 1), "widths": (24, 48, 96, 96), "stem": (24,)},
        {
            "channels": 48,
            "c1_channels": 24,
            "dilations": (1, 4),
            "separable": False,
            "decoder_convs": 1,
            "dropout": 0.0,
        },
        init_weights="torch",
    ),
    ModelConfig(
        "quickstart-mv2",
        "mobilenetv2",
        "deeplabv3plus",
        {
            "divisor": 4,
            "stem": 16,
            "stages": ((2, 12, 1, 2, 1), (3, 16, 2, 2, 1), (3, 32, 1, 1, 2), (3, 32, 1, 1, 2)),
            "out_stages": (0, 1, 2, 3),
        },
        {**_SMALL_DECODER, "channels": 32, "c1_channels": 16},
        init_weights="torch",
    ),
    ModelConfig(
        "quickstart-r18",
        "resnetv1c",
        "deeplabv3plus",
        {**_SMALL_RESNET, "blocks": (1, 1, 1, 1), "widths": (16, 20, 24, 24), "stem": (16,)},
        {**_SMALL_DECODER, "channels": 24, "c1_channels": 12},
        init_weights="torch",
    ),
)


def _part(kind: str, table: Mapping[str, str], name: str, options: Mapping[str, Any]) -> Any:
    """The class behind a name of a table, once its options are known to exist."""
    if name not in table:
        raise unknown_name(kind, name, table)
    module, attribute = table[name].split(":")
    cls = getattr(importlib.import_module(module), attribute)
    known = {
        parameter.name
        for parameter in inspect.signature(cls).parameters.values()
        if parameter.name not in {"backbone", "num_classes", "align_corners"}
    }
    for key in options:
        if key not in known:
            raise unknown_name(f"option of {name}", key, known)
    return cls


def build_model(model: str | ModelConfig, num_classes: int) -> Segmenter:
    """Build a network with fresh weights, the same after the same ``torch.manual_seed``.

    Inside ``with torch.device("meta")`` it takes no time and no memory.

    Args:
        model: a key of ``MODELS``, or a configuration.
        num_classes: classes.

    Raises:
        SegkdError: for an unknown model, backbone, head or option.
    """
    if isinstance(model, str):
        if model not in MODELS:
            raise unknown_name("model", model, MODELS)
        model = MODELS[model]
    backbone_class = _part("backbone", BACKBONES, model.backbone, model.backbone_options)
    head_class = _part("head", HEADS, model.head, model.head_options)
    backbone = backbone_class(**model.backbone_options)
    head = head_class(backbone, num_classes, align_corners=model.align_corners, **model.head_options)
    auxiliary = None
    if model.auxiliary_channels is not None:
        auxiliary = FCNHead(backbone, num_classes, channels=model.auxiliary_channels)
    return Segmenter(
        backbone,
        head,
        auxiliary,
        mean=model.mean,
        std=model.std,
        align_corners=model.align_corners,
        init_weights=model.init_weights == "kaiming",
    )
