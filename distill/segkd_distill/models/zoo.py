"""How a model of the table is built."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from segkd.errors import unknown_name
from segkd_distill.models.backbones import BACKBONES
from segkd_distill.models.catalogue.families import MODELS
from segkd_distill.models.config import ModelConfig
from segkd_distill.models.heads import HEADS
from segkd_distill.models.heads.base import HeadOptions
from segkd_distill.models.heads.fcn import FCNHead
from segkd_distill.models.segmenter import Segmenter

__all__ = ["MODELS", "ModelConfig", "build_model"]


def _part(kind: str, table: Mapping[str, str], name: str, options: Mapping[str, Any]) -> Any:
    """The class behind a name of a table, once its options are known to exist."""
    if name not in table:
        raise unknown_name(kind, name, table)
    module, attribute = table[name].split(":")
    cls = getattr(importlib.import_module(module), attribute)
    known = set(inspect.signature(cls).parameters) | set(HeadOptions.__annotations__ if kind == "head" else ())
    known -= {"backbone", "num_classes", "options", "align_corners", "channel_dropout"}
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
    shared: HeadOptions = {"channel_dropout": model.channel_dropout}
    head = head_class(backbone, num_classes, align_corners=model.align_corners, **shared, **model.head_options)
    auxiliary = None
    if model.auxiliary_channels is not None:
        auxiliary = FCNHead(backbone, num_classes, channels=model.auxiliary_channels, **shared)

    return Segmenter(
        backbone,
        head,
        auxiliary,
        mean=model.mean,
        std=model.std,
        align_corners=model.align_corners,
        init_weights=model.init_weights == "kaiming",
    )
