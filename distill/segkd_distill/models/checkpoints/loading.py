"""Weights into networks."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from segkd.errors import SegkdError
from segkd_distill.models.backbones.timm_encoder import TimmEncoder
from segkd_distill.models.checkpoints.encoder import load_encoder
from segkd_distill.models.checkpoints.formats.base import Normalisation
from segkd_distill.models.checkpoints.inspect import fitting_models
from segkd_distill.models.checkpoints.reading import Checkpoint, read_checkpoint
from segkd_distill.models.checkpoints.report import CLASSIFIER, LoadReport, compare, some
from segkd_distill.models.network import Network
from segkd_distill.models.teachers.class_map import plain_name

# What begins a ResNet: the deep stem of V1c and of CIRKD, or the 7x7 convolution.
STEM = re.compile(r"(stem|conv1|bn1)\.")


class OtherClasses(SegkdError):
    """Weights that fit but for their classifiers, which have another number of classes; callers say what to do."""


def load_weights(
    model: Network, path: Path | str, *, other_classes: bool = False, class_names: Sequence[str] = ()
) -> LoadReport:
    """Load a checkpoint of any known format into a whole network, and print a report on stderr.

    The network's mean and std become those that the weights were trained with, where the format tells them. An
    auxiliary head that the file lacks altogether keeps its initial values.

    Args:
        model: the network; with the attributes ``backbone``, ``decode_head`` and ``auxiliary_head`` for foreign files.
        path: a weights file, a run folder, or a name of ``segkd weights list`` that was fetched.
        other_classes: leave the classifiers at their initial values where the file has other classes.
        class_names: of the network; where the file has names too, its classifiers are brought into this order.

    Returns:
        What was loaded and what was not.

    Raises:
        SegkdError: if the file cannot be read or does not fit.
    """
    checkpoint = read_checkpoint(path)
    if checkpoint.is_backbone:
        raise SegkdError(
            f"{checkpoint.path} holds a backbone alone ({checkpoint.format}): give it as --backbone-weights"
        )
    if class_names and checkpoint.class_names:
        checkpoint = in_class_order(model, checkpoint, class_names, other_classes=other_classes)
    report = load_checkpoint(model, checkpoint, other_classes=other_classes)
    print(f"{checkpoint.path}: {report.summary()}", file=sys.stderr)
    return report


def in_class_order(
    model: Network, checkpoint: Checkpoint, class_names: Sequence[str], *, other_classes: bool
) -> Checkpoint:
    """A checkpoint whose classifiers have the classes of a network, in its order.

    Raises:
        OtherClasses: if the file lacks a class, unless ``other_classes``: the classifiers are the network's then.
    """
    ours, theirs = ([plain_name(name) for name in names] for names in (class_names, checkpoint.class_names or ()))
    if ours == theirs:
        return checkpoint
    lacking = [name for name, plain in zip(class_names, ours, strict=True) if plain not in theirs]
    if lacking and not other_classes:
        raise OtherClasses(
            f"{checkpoint.path}: the weights are for {len(theirs)} classes, the data have {len(ours)}, and no class of "
            f"the weights is called {some(lacking)}"
        )
    own = model.state_dict()

    order = None if lacking else torch.tensor([theirs.index(name) for name in ours])
    tensors = dict(checkpoint.tensors)
    for name in filter(CLASSIFIER.search, tensors):
        if order is not None:
            tensors[name] = tensors[name][order]
        elif name in own:
            tensors[name] = own[name].clone()

    note = "the classifiers are for other classes: they keep their initial values"
    if order is not None:
        note = "the classifiers' classes are brought into the data's order, by name"
    return replace(checkpoint, tensors=tensors, notes=(*checkpoint.notes, note))


def load_checkpoint(model: Network, checkpoint: Checkpoint, *, other_classes: bool = False) -> LoadReport:
    """Load a checkpoint that is read already into a network; prints nothing.

    Raises:
        SegkdError: if it does not fit.
    """
    own = model.state_dict()
    kept, notes = {}, checkpoint.notes
    if not any(name.startswith("auxiliary_head.") for name in checkpoint.tensors):
        kept = {name: value for name, value in own.items() if name.startswith("auxiliary_head.")}
        notes += ("the file has no auxiliary head: it keeps its initial values",) if kept else ()
    report = _load_kept(model, checkpoint, checkpoint.tensors, kept, other_classes=other_classes)
    if report.mismatched:
        notes += ("the classifiers are for other classes: they keep their initial values",)
    return replace(report, notes=notes, normalisation=set_normalisation(model, checkpoint.normalisation))


def _load_kept(
    module: nn.Module,
    checkpoint: Checkpoint,
    tensors: Mapping[str, Tensor],
    kept: Mapping[str, Tensor],
    *,
    other_classes: bool = False,
) -> LoadReport:
    """Load tensors, but ``kept`` stay as they are and count as neither loaded nor missing."""
    try:
        report = load_into(module, {**tensors, **kept}, other_classes=other_classes)
    except SegkdError as error:
        # Which model the file fits is no news where the classifier alone is another one.
        kind, hint = (OtherClasses, "") if isinstance(error, OtherClasses) else (SegkdError, _hint(checkpoint))
        raise kind(f"{checkpoint.path} ({checkpoint.format}): {error}{hint}") from error
    return replace(report, matched=tuple(name for name in report.matched if name not in kept), format=checkpoint.format)


def load_backbone_weights(model: Network, path: Path | str) -> LoadReport:
    """Load the backbone of a checkpoint of any known format, and print a report on stderr.

    A ResNet's stages fit a network whose stem is another one; the stem keeps its initial values then, and the report
    says so. Heads and ImageNet classifiers are left out. A timm encoder also takes files under timm's own names, or
    under others in its order.

    Args:
        model: the network; its ``backbone`` is loaded, its mean and std follow the weights.
        path: a weights file, a run folder, or a name of ``segkd weights list`` that was fetched.

    Raises:
        SegkdError: if the file cannot be read, or does not fit in more than the stem.
    """
    checkpoint = read_checkpoint(path)
    backbone: nn.Module = model.get_submodule("backbone")
    prefix = "backbone."
    if isinstance(backbone, TimmEncoder) and not any(name.startswith(f"{prefix}body.") for name in checkpoint.tensors):
        report = load_encoder(backbone.body, path)
        report = replace(report, normalisation=set_normalisation(model, report.normalisation))
        print(f"{checkpoint.path}: {report.summary()}", file=sys.stderr)
        return report
    tensors = {name[len(prefix) :]: value for name, value in checkpoint.tensors.items() if name.startswith(prefix)}
    if not tensors:
        raise SegkdError(
            f"{checkpoint.path} ({checkpoint.format}) holds no backbone: {some(checkpoint.tensors)}; "
            "`segkd model inspect` says what it is"
        )
    own, kept = backbone.state_dict(), {}
    notes = checkpoint.notes
    if stem_differs(own, tensors):
        kept = {name: value for name, value in own.items() if STEM.match(name)}
        tensors = {name: value for name, value in tensors.items() if not STEM.match(name)}
        notes = ("the file's stem is another one: the stem keeps its initial values",)
    report = _load_kept(backbone, checkpoint, tensors, kept)
    report = replace(report, notes=notes, normalisation=set_normalisation(model, checkpoint.normalisation))
    print(f"{checkpoint.path}: {report.summary()}", file=sys.stderr)
    return report


def stem_differs(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> bool:
    """Whether both are ResNets whose stems have other names or shapes."""
    stages = "layer1.0.conv1.weight"
    if stages not in own or stages not in tensors:
        return False
    ours, theirs = (
        {
            name: tuple(value.shape)
            for name, value in state.items()
            if STEM.match(name) and not name.endswith("num_batches_tracked")
        }
        for state in (own, tensors)
    )
    return ours != theirs


def set_normalisation(model: Network, normalisation: Normalisation | None) -> Normalisation | None:
    """Set a network's mean and std; gives them back where they changed, else None."""
    if normalisation is None:
        return None
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in normalisation)
    if torch.equal(model.mean.cpu(), mean) and torch.equal(model.std.cpu(), std):
        return None
    model.mean.copy_(mean)
    model.std.copy_(std)
    return normalisation


def load_into(
    model: nn.Module, tensors: Mapping[str, Tensor], *, strict: bool = True, other_classes: bool = False
) -> LoadReport:
    """Copy tensors into a network by name.

    Tensors of an auxiliary head that the network lacks are dropped; missing step counters of batch normalisations
    are no fault.

    Args:
        model: the network.
        tensors: name -> tensor, under this project's names.
        strict: refuse a file that does not fit exactly.
        other_classes: leave the classifiers at their initial values where the file has another number of classes.

    Returns:
        What was loaded and what was not.

    Raises:
        SegkdError: if nothing fits, or with ``strict`` if anything but the permitted classifiers does not.
    """
    own = model.state_dict()
    if getattr(model, "auxiliary_head", None) is None:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("auxiliary_head.")}
    report = compare(own, tensors)
    _refuse(report, own, tensors, strict=strict, other_classes=other_classes)
    model.load_state_dict({name: tensors[name] for name in report.matched}, strict=False)
    return report


def _refuse(
    report: LoadReport,
    own: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    *,
    strict: bool,
    other_classes: bool,
) -> None:
    """Raise where a report is not acceptable."""
    if not report.matched:
        raise SegkdError(
            f"none of the file's {len(tensors)} tensors ({some(tensors)}) belongs to this network ({some(own)}); "
            "this is the checkpoint of another architecture"
        )

    whole = [name for name in report.matched if _is_float(own[name]) and not _is_float(tensors[name])]
    if whole:
        raise SegkdError(
            f"{len(whole)} tensors of the file are no floating-point numbers ({whole[0]}: {tensors[whole[0]].dtype}); "
            "these are no weights, or quantised ones: take the file that the training wrote"
        )
    if not strict:
        return

    classifiers = [name for name in report.mismatched if CLASSIFIER.search(name)]
    bodies = [name for name in report.mismatched if name not in classifiers]
    faults = []
    if report.missing:
        faults.append(f"{len(report.missing)} missing ({some(report.missing)})")
    if report.unexpected:
        faults.append(f"{len(report.unexpected)} unknown to the network ({some(report.unexpected)})")
    if bodies:
        shapes = ", ".join(f"{name} {tuple(tensors[name].shape)} for {tuple(own[name].shape)}" for name in bodies[:2])
        faults.append(f"{len(bodies)} of another shape ({shapes})")

    if faults:
        raise SegkdError(
            f"the weights do not fit the network: {'; '.join(faults)}; "
            "this is the checkpoint of another architecture, choose the model that it was trained as"
        )
    if classifiers and not other_classes:
        name = classifiers[0]
        raise OtherClasses(
            f"the weights are for {tensors[name].shape[0]} classes, the network has {own[name].shape[0]} ({name})"
        )


def _is_float(tensor: Tensor) -> bool:
    return tensor.is_floating_point()


def _hint(checkpoint: Checkpoint) -> str:
    """Which models a file that did not fit is for."""
    fitting = fitting_models(checkpoint)
    return f" ({some(fitting)})" if fitting else ""
