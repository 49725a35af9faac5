"""Small trainings that the tests of the loop share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from segkd.data.base import open_dataset
from segkd.folders import RunFiles
from segkd.recipe import Recipe, parse_recipe
from segkd_distill.models.checkpoints import load_tensors
from segkd_distill.models.saved_model import save_model
from segkd_distill.models.zoo import MODELS, build_model

STUDENT = "quickstart-mv2"


def recipe_of(streets: Path, *overrides: str) -> Recipe:
    """8 steps of batch 4 on crops of 32x64, with two validations."""
    values: dict[str, Any] = {
        "data": {"train": f"cityscapes:{streets}"},
        "student": {"model": STUDENT},
        "augment": {"crop": [32, 64], "scale": [0.75, 1.5]},
        "train": {"iters": 8, "batch": 4, "optimizer": "adamw", "lr": 0.01, "seed": 3},
        "eval": {"every": 4},
    }
    return parse_recipe(values, overrides)


def save_teacher(folder: Path, streets: Path, model: str = "quickstart-r18", seed: int = 7) -> Path:
    """A run folder with an untrained network."""
    labels = open_dataset(f"cityscapes:{streets}").labels
    torch.manual_seed(seed)
    save_model(folder, build_model(model, labels.num_classes), MODELS[model], labels, (64, 128))
    return folder


def losses(run: Path) -> list[tuple[int, str, dict[str, float]]]:
    """What ``metrics.jsonl`` says, without what depends on the clock."""
    clock = {"img_per_s", "eta_s", "seconds", "step", "event"}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row["event"], {k: v for k, v in row.items() if k not in clock}) for row in lines]


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The tensors of ``student.safetensors``."""
    return load_tensors(run / RunFiles.WEIGHTS)


def same(a: Any, b: Any) -> bool:
    """Bitwise equality of nested tensors, numbers and text."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def write_folder(root: Path) -> Path:
    """A small data set of two classes, the second below the first."""
    mask = np.repeat(np.uint8([0, 1]), 16)[:, None].repeat(64, 1)
    for split in ("train", "val"):
        for kind, pixels in (("images", np.zeros((32, 64, 3), np.uint8)), ("masks", mask)):
            (root / kind / split).mkdir(parents=True)
            cv2.imwrite(str(root / kind / split / "a.png"), pixels)
    (root / "classes.yaml").write_text("names: [floor, wall]\n")
    return root
