"""Which model a checkpoint belongs to."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from segkd.errors import MissingExtra
from segkd_distill.models.checkpoints.reading import Checkpoint
from segkd_distill.models.checkpoints.report import CLASSIFIER, LoadReport, compare

# A share of fitting tensors below this is chance: many networks have layers of the same name and shape.
PROBABLE = 0.5
SHOWN = 5


@dataclass(frozen=True)
class Candidate:
    """How a checkpoint fits a model.

    Attributes:
        model: the model's name.
        report: tensor by tensor; for a backbone alone, of the backbone.
        fit: tensors that fit, as a share of all that the file or the network has; 1 is a complete fit.
    """

    model: str
    report: LoadReport
    fit: float


def candidates(checkpoint: Checkpoint) -> list[Candidate]:
    """The models that a checkpoint may be for, the best first; those of the same fit in the order of the table."""
    from segkd_distill.models.zoo import MODELS

    found = []
    for name in MODELS:
        own = _meta_state(name, checkpoint.num_classes)
        if own is None:
            continue
        if checkpoint.is_backbone:
            own = {key: value for key, value in own.items() if key.startswith("backbone.")}
        report = compare(own, _tensors_for(own, checkpoint.tensors))
        found.append(Candidate(name, report, _fit(report)))
    return sorted((one for one in found if one.fit >= PROBABLE), key=lambda one: -one.fit)


@functools.cache
def _one_class(name: str) -> Mapping[str, Tensor] | None:
    """A model's state dict on the meta device, for one class; None if a library that it needs is not installed."""
    from segkd_distill.models.zoo import MODELS, build_model

    # Only names and shapes count: without the initial values it takes a third of the time.
    config = replace(MODELS[name], init_weights="torch")
    try:
        with torch.device("meta"):
            return build_model(config, 1).state_dict()
    except MissingExtra:
        return None


def _meta_state(name: str, num_classes: int | None) -> dict[str, Tensor] | None:
    """A model's state dict on the meta device; None if it cannot be built here."""
    state = _one_class(name)
    if state is None:
        return None
    classes = num_classes or 1
    return {
        key: tensor.new_empty((classes, *tensor.shape[1:])) if CLASSIFIER.search(key) else tensor
        for key, tensor in state.items()
    }


def _tensors_for(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without an auxiliary head that either side lacks."""
    if any(name.startswith("auxiliary_head.") for name in own):
        return dict(tensors)
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("auxiliary_head.")}


def _fit(report: LoadReport) -> float:
    missing = [name for name in report.missing if not name.startswith("auxiliary_head.")]
    others = len(missing) + len(report.unexpected) + len(report.mismatched)
    return len(report.matched) / max(1, len(report.matched) + others)


def fitting_models(checkpoint: Checkpoint) -> list[str]:
    """What a user should choose for a checkpoint, in words; empty where no model fits."""
    width = _aspp_width(checkpoint)
    hints = [f"an ASPP of width {width}: CIRKDv2's DeepLabV3 has 512, CIRKD's and Af-DCD's 256 or 128"] if width else []
    complete = [one.model for one in candidates(checkpoint) if one.fit == 1.0]
    if complete:
        hints.append(f"it fits {', '.join(complete[:SHOWN])}")
    return hints


def _aspp_width(checkpoint: Checkpoint) -> int | None:
    """Width of CIRKD's ASPP, which differs between files of the same name."""
    first = checkpoint.tensors.get("decode_head.aspp_modules.0.conv.weight")
    return len(first) if first is not None and checkpoint.format == "CIRKD" else None


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Everything that is known of a checkpoint, as plain values for JSON."""
    listed = candidates(checkpoint)
    parameters = sum(
        tensor.numel()
        for name, tensor in checkpoint.tensors.items()
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    )
    auxiliary = sum(
        tensor.numel()
        for name, tensor in checkpoint.tensors.items()
        if name.startswith("auxiliary_head.")
        and not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    )

    normalisation = checkpoint.normalisation
    return {
        "file": str(checkpoint.path),
        "format": checkpoint.format,
        "holds": "a backbone" if checkpoint.is_backbone else "a network",
        "tensors": len(checkpoint.tensors),
        "parameters": parameters,
        "auxiliary_parameters": auxiliary,
        "num_classes": checkpoint.num_classes,
        "class_names": checkpoint.class_names,
        "normalisation": None if normalisation is None else normalisation._asdict(),
        "aspp_width": _aspp_width(checkpoint),
        "dropped": checkpoint.dropped,
        "notes": checkpoint.notes,
        "models": [
            {
                "name": one.model,
                "fit": one.fit,
                "matched": len(one.report.matched),
                "missing": one.report.missing,
                "unexpected": one.report.unexpected,
                "mismatched": one.report.mismatched,
            }
            for one in listed[:SHOWN]
        ],
    }
