"""Settings that published experiments share, under a name: augmentation pipelines and training schedules.

A preset fills the keys of its section that a recipe does not write itself; a resolved recipe has them all written out.
Sources: mmsegmentation 1.2.2 ``configs/_base_``; winycg/CIRKD at 2d8ad0f and OSVAI/Af-DCD at 5b086a7 (they share their
loaders); AmirMansurian/AttnFD at f090bbe; irfanICMLL/structure_knowledge_distillation at ce208e1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segkd.errors import SegkdError, unknown_name

PIPELINES: dict[str, dict[str, Any]] = {
    "mmseg": {
        "scale": [0.5, 2.0],
        "scale_step": None,
        "flip": 0.5,
        "cat_max_ratio": 0.75,
        "photometric": True,
        "blur": 0.0,
    },
    "cirkd": {
        "scale": [0.5, 2.0],
        "scale_step": 0.1,
        "flip": 0.5,
        "cat_max_ratio": 1.0,
        "photometric": False,
        "blur": 0.0,
    },
    "attnfd": {
        "scale": [0.5, 2.0],
        "scale_step": None,
        "flip": 0.5,
        "cat_max_ratio": 1.0,
        "photometric": False,
        "blur": 0.5,
    },
}
"""Name -> keys of ``augment``."""

_MMSEG_512 = {"crop": [512, 512], "short_side": 512, "long_side": 2048}
_CIRKD_512 = {"crop": [512, 512]}

PIPELINE_SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "mmseg": {
        "cityscapes": {"crop": [512, 1024]},
        "ade20k": _MMSEG_512,
        "pascal_voc": _MMSEG_512,
        "pascal_context": {"crop": [480, 480], "short_side": 520, "long_side": 520},
        "coco_stuff": _MMSEG_512,
        "camvid": {"crop": [360, 360]},
    },
    "cirkd": {
        "cityscapes": {"crop": [512, 1024]},
        "ade20k": _CIRKD_512,
        "pascal_voc": _CIRKD_512,
        "coco_stuff": _CIRKD_512,
        "camvid": {"crop": [360, 360]},
    },
    "attnfd": {
        "cityscapes": {"crop": [513, 513], "short_side": 513},
        # The original fills what lies beyond the picture with class 0, the background.
        "pascal_voc": {"crop": [513, 513], "short_side": 513, "pad_label": 0},
    },
}
"""Pipeline -> data set -> keys of ``augment`` that depend on it."""

_SGD = {"optimizer": {"sgd": {"momentum": 0.9}}, "head_lr_mult": 1.0, "warmup_iters": 0}
_MMSEG = {**_SGD, "lr": 0.01, "weight_decay": 5e-4, "schedule": {"poly": {"power": 0.9, "min_lr": 1e-4}}}
_TO_ZERO = {"schedule": {"poly": {"power": 0.9, "min_lr": 0.0}}}
_CIRKD = {**_SGD, **_TO_ZERO, "lr": 0.02, "weight_decay": 1e-4, "batch": 16}
_ATTNFD = {
    "optimizer": {"sgd": {"momentum": 0.9, "nesterov": True}},
    "head_lr_mult": 10.0,
    "warmup_iters": 0,
    "weight_decay": 5e-4,
    "batch": 6,
    **_TO_ZERO,
}
_ADAMW = {
    "optimizer": {"adamw": {"betas": [0.9, 0.999]}},
    "weight_decay": 0.01,
    "warmup_iters": 1500,
    "schedule": {"poly": {"power": 1.0, "min_lr": 0.0}},
}

SCHEDULES: dict[str, dict[str, Any]] = {
    **{f"mmseg-{thousand}k": {**_MMSEG, "iters": 1000 * thousand} for thousand in (20, 40, 80, 160, 320)},
    "mmseg-segformer-160k": {**_ADAMW, "iters": 160_000, "lr": 6e-5, "head_lr_mult": 10.0},
    "cirkd-40k": {**_CIRKD, "iters": 40_000},
    "cirkd-80k": {**_CIRKD, "iters": 80_000},
    "cirkdv2-80k": {**_CIRKD, "iters": 80_000, "lr": 0.01, "batch": 8},
    # Only rate, length and crop of CIRKD's transformer script are known; the rest is SegFormer's own.
    "cirkd-segformer-160k": {**_ADAMW, "iters": 160_000, "lr": 2e-4, "head_lr_mult": 1.0, "batch": 16},
    # 120 epochs of the 10582 images of trainaug, and 200 of the 2975 of Cityscapes, in batches of 6.
    "attnfd-voc": {**_ATTNFD, "iters": 211_640, "lr": 0.007},
    "attnfd-cityscapes": {**_ATTNFD, "iters": 99_166, "lr": 0.01},
    "skds-40k": {**_SGD, **_TO_ZERO, "iters": 40_000, "lr": 0.01, "weight_decay": 5e-4, "batch": 8},
}
"""Name -> keys of ``train``."""


def fill_from(presets: Mapping[str, Mapping[str, Any]], name: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with those of a preset where they say nothing; an unknown preset fills nothing."""
    preset = presets.get(name, {}) if isinstance(name, str) else {}
    return {**preset, **values}


def known_preset(kind: str, presets: Mapping[str, Any], name: str | None) -> str | None:
    """The name, if it is in the table.

    Raises:
        ValueError: saying the nearest, for pydantic.
    """
    if name is not None and name not in presets:
        raise ValueError(str(unknown_name(kind, name, presets)))
    return name


def pipeline_sizes(pipeline: str, dataset: str) -> dict[str, Any]:
    """The keys of ``augment`` that a pipeline takes from the data set; empty for one that it was not published for."""
    return dict(PIPELINE_SIZES[pipeline].get(dataset, {}))


def require_crop(pipeline: str, dataset: str) -> SegkdError:
    """The error for a pipeline without a crop for a data set."""
    known = ", ".join(PIPELINE_SIZES[pipeline])
    return SegkdError(
        f"augment.pipeline: {pipeline} has no crop for {dataset} (it has for {known}): give --imgsz HxW (augment.crop)"
    )
