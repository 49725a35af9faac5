"""Run folders: a trained network with everything that is needed to use it.

``student.safetensors`` is exactly ``model.state_dict()``; ``model.json`` says architecture, label space,
normalisation and input size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkd.data.base import LabelSpace
from segkd.errors import SegkdError
from segkd.files import read_json, write_json
from segkd.folders import RunFiles
from segkd_distill.models.checkpoints import load_into, load_tensors, save_tensors
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import ModelConfig, build_model

SCHEMA = 1


@dataclass(frozen=True)
class LoadedRun:
    """The network of a run folder.

    Attributes:
        model: in evaluation mode, on the CPU.
        label_space: the classes of its logits, in order.
        imgsz: height and width in pixels that it was trained and evaluated for.
        config: its architecture.
        folder: where it came from.
    """

    model: Segmenter
    label_space: LabelSpace
    imgsz: tuple[int, int]
    config: ModelConfig
    folder: Path


def save_model(
    folder: Path, segmenter: Segmenter, config: ModelConfig, label_space: LabelSpace, imgsz: tuple[int, int]
) -> None:
    """Write a network into a run folder; each file in one step, the weights first.

    Args:
        folder: made if need be.
        segmenter: the network.
        config: what it was built from.
        label_space: the classes of its logits.
        imgsz: height and width in pixels.

    Raises:
        SegkdError: if the network has another number of classes than the label space.
    """
    if segmenter.num_classes != label_space.num_classes:
        raise SegkdError(f"the network has {segmenter.num_classes} classes, the label space {label_space.num_classes}")
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / RunFiles.WEIGHTS, segmenter.state_dict())
    card = {
        "schema": SCHEMA,
        "name": config.name,
        "model": config.to_dict(),
        "num_classes": segmenter.num_classes,
        "label_space": label_space.to_dict(),
        "mean": list(config.mean),
        "std": list(config.std),
        "imgsz": list(imgsz),
    }
    write_json(folder / RunFiles.CARD, card)


def load_run(folder: Path | str) -> LoadedRun:
    """Read the network of a run folder.

    Raises:
        SegkdError: if the folder or one of its files is not there, incomplete, or of another schema.
    """
    folder = Path(folder).expanduser()
    if not (folder / RunFiles.CARD).is_file():
        raise SegkdError(
            f"{folder} is no run folder: it has no {RunFiles.CARD}; give the --out folder of a training run"
        )
    card = read_json(folder / RunFiles.CARD)
    config, label_space, imgsz = _parse_card(folder / RunFiles.CARD, card)
    model = build_model(config, label_space.num_classes)
    try:
        load_into(model, load_tensors(folder / RunFiles.WEIGHTS))
    except SegkdError as error:
        raise SegkdError(f"{folder}: {error}") from error
    return LoadedRun(model.eval(), label_space, imgsz, config, folder)


def _parse_card(path: Path, card: Any) -> tuple[ModelConfig, LabelSpace, tuple[int, int]]:
    if not isinstance(card, Mapping) or card.get("schema") != SCHEMA:
        found = card.get("schema") if isinstance(card, Mapping) else type(card).__name__
        raise SegkdError(f"{path}: expected schema {SCHEMA}, got {found}; it was written by another version of segkd")
    try:
        config = ModelConfig.from_dict(card["model"])
        label_space = LabelSpace.from_dict(card["label_space"])
        height_px, width_px = (int(value) for value in card["imgsz"])
        agree = tuple(card["mean"]) == config.mean and tuple(card["std"]) == config.std
        agree = agree and card["num_classes"] == label_space.num_classes and card["name"] == config.name
    except (KeyError, TypeError, ValueError) as error:
        raise SegkdError(f"{path}: a field is missing or malformed ({error!r}); save the run again") from error
    if not agree:
        raise SegkdError(f"{path} contradicts itself in name, num_classes, mean or std; save the run again")
    return config, label_space, (height_px, width_px)
