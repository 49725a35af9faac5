"""What a checkpoint is: its format, its tensors under this project's names, its classes and normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from segkd.errors import SegkdError
from segkd.files import read_json
from segkd.folders import RunFiles
from segkd_distill.models.catalogue.weights_table import find_weights
from segkd_distill.models.checkpoints.files import CheckpointFile, read_file
from segkd_distill.models.checkpoints.formats import detect
from segkd_distill.models.checkpoints.formats.base import Normalisation
from segkd_distill.models.checkpoints.formats.openmmlab import meta_normalisation, preprocessor_normalisation
from segkd_distill.models.checkpoints.formats.timm import config_normalisation
from segkd_distill.models.checkpoints.wrappings import NetworkTensors, find_network

CLASSIFIER = "decode_head.conv_seg.weight"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint under this project's names.

    Attributes:
        path: the file.
        tensors: name -> tensor on the CPU; a backbone's names begin with ``backbone.``.
        format: name of its format; "unknown" leaves the names as they are.
        dropped: names in the file that are no part of a network here.
        notes: what a user should know, one sentence each.
        num_classes: of the classifier; None for a backbone alone.
        class_names: where the file has them.
        normalisation: what the weights were trained with, where that is known; None otherwise.
    """

    path: Path
    tensors: dict[str, Tensor]
    format: str
    dropped: tuple[str, ...]
    notes: tuple[str, ...]
    num_classes: int | None
    class_names: tuple[str, ...] | None
    normalisation: Normalisation | None

    @property
    def is_backbone(self) -> bool:
        """Whether it holds a backbone alone."""
        return bool(self.tensors) and all(name.startswith("backbone.") for name in self.tensors)


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read a checkpoint of any format that is known.

    Args:
        path: a weights file, a run folder, or a name of ``segkd weights list`` that was fetched.

    Raises:
        SegkdError: as :func:`segkd_distill.models.checkpoints.files.read_file`, and for a name that was not fetched.
    """
    found = find_weights(path)
    if found.is_dir() and (found / RunFiles.WEIGHTS).is_file():
        found = found / RunFiles.WEIGHTS
    file = read_file(found)
    network = find_network(file.tensors, file.prefix)
    own = network.tensors
    if not own:
        raise SegkdError(f"{found} holds no tensors of a network; expected its state dict")
    card = _run_card(found)
    if card is not None:
        return _from_run(found, own, card)
    checkpoint = _from_elsewhere(found, file, own)
    notes = (*file.notes, *_wrapping_notes(network), *checkpoint.notes)
    return replace(checkpoint, dropped=(*checkpoint.dropped, *network.left_out), notes=notes)


def _wrapping_notes(network: NetworkTensors) -> tuple[str, ...]:
    """What a user should know of where the network lay."""
    if not network.prefix:
        return ()
    others = f", not {', '.join(network.others)} (FILE#PREFIX takes another)" if network.others else ""
    left = f"; {len(network.left_out)} other tensors are left out" if network.left_out else ""
    return (f"the network under {network.prefix} is taken{others}{left}",)


def _from_run(path: Path, own: dict[str, Tensor], card: Mapping[str, Any]) -> Checkpoint:
    try:
        names = tuple(str(name) for name in card["label_space"]["names"])
        mean, std = (tuple(float(value) for value in card[key]) for key in ("mean", "std"))
        normalisation = Normalisation((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))
        notes = (f"a run's {card['name']}",)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SegkdError(f"{path.parent / RunFiles.CARD}: a field is missing or malformed ({error!r})") from error
    return Checkpoint(path, own, "segkd", (), notes, len(names), names, normalisation)


def _run_card(path: Path) -> Mapping[str, Any] | None:
    """``model.json`` beside a run's weights; None for any other file."""
    card = path.with_name(RunFiles.CARD)
    if path.suffix != ".safetensors" or not card.is_file():
        return None
    values = read_json(card)
    return values if isinstance(values, Mapping) and "label_space" in values else None


def _from_elsewhere(path: Path, file: CheckpointFile, own: dict[str, Tensor]) -> Checkpoint:
    format_ = detect(own)
    if format_ is None:
        return Checkpoint(path, own, "unknown", (), ("its names are of no known format",), None, None, None)
    found = format_.translate(own)
    name, notes = format_.name, found.notes

    wrapped = any(key.removeprefix("module.").startswith(("architecture.", "student.")) for key in file.tensors)
    if wrapped:
        name = name.replace("open-mmlab", "mmrazor")
        left = sum(key.removeprefix("module.").startswith(("teacher.", "distiller.")) for key in file.tensors)
        notes += (f"the student of a distillation; {left} tensors of its teacher are left out",) if left else ()

    classifier = found.tensors.get(CLASSIFIER)
    num_classes = len(classifier) if classifier is not None else None
    return Checkpoint(
        path,
        found.tensors,
        name,
        found.dropped,
        notes,
        num_classes,
        _class_names(file.meta, num_classes),
        preprocessor_normalisation(file.tensors)
        or config_normalisation(path)
        or meta_normalisation(file.meta)
        or found.normalisation,
    )


def _class_names(meta: Mapping[str, Any], num_classes: int | None) -> tuple[str, ...] | None:
    """open-mmlab's class names: ``CLASSES`` in 0.x, ``dataset_meta.classes`` in 1.x."""
    inner = meta.get("dataset_meta")
    for values in (meta, inner if isinstance(inner, Mapping) else {}):
        for key in ("CLASSES", "classes"):
            names = values.get(key)
            if isinstance(names, list | tuple) and len(names) == num_classes:
                return tuple(str(name) for name in names)
    return None
