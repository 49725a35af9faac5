"""Weights from files: safetensors, or torch checkpoints that hold nothing but tensors."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segkd.errors import SegkdError
from segkd.files import write_atomic

# Where training programs put the state dict inside a checkpoint, in the order of preference.
WRAPPERS = ("state_dict", "model", "state_dict_ema")
# Prefixes that wrappers (DDP, torch.compile, mmrazor, ...) put before every parameter's name.
PREFIXES = ("module.", "_orig_mod.", "model.", "student.", "architecture.")
# Names that lie beside a network in a checkpoint and are no part of it.
STRANGERS = ("teacher.", "distiller.", "data_preprocessor.", "loss_decode", "decode_head.loss_decode")
CLASSIFIER = re.compile(r"conv_seg\.(weight|bias)$")


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a file.

    Attributes:
        matched: names that were loaded.
        missing: parameters and buffers of the network that the file lacks; they keep their value.
        unexpected: tensors of the file that the network lacks.
        mismatched: names whose shapes differ; the network keeps its value.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]


def load_tensors(path: Path | str) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, unwrapped and with the names' common prefixes taken off.

    Args:
        path: a ``.safetensors`` file, or one that ``torch.load(weights_only=True)`` reads. Nothing in the file is
            executed.

    Returns:
        name -> tensor on the CPU.

    Raises:
        SegkdError: if the file is not there, is no checkpoint, holds more than tensors and plain values, or no tensor.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise SegkdError(f"{path} is a folder; expected a weights file (.safetensors, .pth or .pt)")
    if not path.is_file():
        raise SegkdError(f"no weights file {path}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    tensors = strip_prefixes(unwrap(content))
    if not tensors:
        raise SegkdError(f"{path} holds no tensors; expected the state dict of a network")
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise SegkdError(f"{path} is not a complete safetensors file ({error})") from error
    return tensors


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load fails on foreign bytes with whatever its parser meets first
        blocked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if blocked:
            raise SegkdError(
                f"{path} holds more than tensors ({blocked[1]}), and loading that could run its code; "
                "save the state dict alone, or as safetensors"
            ) from error
        raise SegkdError(
            f"{path} cannot be read as a checkpoint; expected .safetensors, or a state dict saved with torch.save"
        ) from error


def unwrap(content: Any) -> dict[str, Tensor]:
    """The state dict inside a checkpoint: under a usual key, or the checkpoint itself; only its tensors."""
    while isinstance(content, Mapping):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
        content = inner
    return {}


def strip_prefixes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off, repeatedly, a prefix that all names have, and drop what is known to lie beside a network."""
    current = dict(tensors)
    while True:
        own = {name: tensor for name, tensor in current.items() if not name.startswith(STRANGERS)}
        prefix = next((p for p in PREFIXES if own and all(name.startswith(p) for name in own)), None)
        if prefix is None:
            return own
        current = {name[len(prefix) :]: tensor for name, tensor in own.items()}


def load_into(
    model: nn.Module, tensors: Mapping[str, Tensor], *, strict: bool = True, other_classes: bool = False
) -> LoadReport:
    """Copy tensors into a network by name.

    Tensors of an auxiliary head that the network lacks are dropped; missing step counters of batch normalisations
    are no fault.

    Args:
        model: the network.
        tensors: name -> tensor, as :func:`load_tensors` gives them.
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
    common = [name for name in own if name in tensors]
    mismatched = [name for name in common if own[name].shape != tensors[name].shape]
    matched = [name for name in common if own[name].shape == tensors[name].shape]
    report = LoadReport(
        tuple(matched),
        tuple(name for name in own if name not in tensors and not name.endswith("num_batches_tracked")),
        tuple(name for name in tensors if name not in own),
        tuple(mismatched),
    )
    _refuse(report, own, tensors, strict=strict, other_classes=other_classes)
    model.load_state_dict({name: tensors[name] for name in matched}, strict=False)
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
            f"none of the file's {len(tensors)} tensors ({_some(tensors)}) belongs to this network ({_some(own)}); "
            "this is the checkpoint of another architecture"
        )
    if not strict:
        return
    classifiers = [name for name in report.mismatched if CLASSIFIER.search(name)]
    bodies = [name for name in report.mismatched if name not in classifiers]
    faults = []
    if report.missing:
        faults.append(f"{len(report.missing)} missing ({_some(report.missing)})")
    if report.unexpected:
        faults.append(f"{len(report.unexpected)} unknown to the network ({_some(report.unexpected)})")
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
        raise SegkdError(
            f"the weights are for {tensors[name].shape[0]} classes, the network has {own[name].shape[0]} ({name}); "
            "use weights for these classes, or ask explicitly for a fresh classifier"
        )


def _some(names: Iterable[str]) -> str:
    """The first three names."""
    listed = list(names)
    return ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")


def load_backbone(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> LoadReport:
    """Copy the weights of a backbone alone, or the backbone's part of a whole network's; classifiers are dropped.

    Raises:
        SegkdError: if the weights do not fit the backbone.
    """
    part = {name[len("backbone.") :]: value for name, value in tensors.items() if name.startswith("backbone.")}
    chosen = part or {name: value for name, value in tensors.items() if not name.startswith(("fc.", "head."))}
    return load_into(backbone, chosen)


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, in one step."""
    from safetensors.torch import save

    write_atomic(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))
