"""State dicts with the names and shapes of networks that were built elsewhere, and what those networks gave for them.

``tests/golden/checkpoints/keys/NAME.txt`` lists names and shapes; the numbers are made here from the names alone, so
that they are the same everywhere. ``tests/golden/checkpoints/outputs.json`` has samples of what the original
networks gave for these numbers, in float64; tests/golden/PROVENANCE.md says how they were made.
"""

from __future__ import annotations

import functools
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parents[4] / "golden"
HEIGHT_PX, WIDTH_PX = 72, 104
SAMPLES = 48


@functools.cache
def keys(name: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape, in the network's order."""
    lines = (GOLDEN / "checkpoints" / "keys" / f"{name}.txt").read_text().splitlines()
    rows = (line.split() for line in lines if line and not line.startswith("#"))
    return {row[0]: tuple(int(n) for n in row[1].split("x")) if row[1] != "-" else () for row in rows}


def fill(name: str, shape: tuple[int, ...]) -> Tensor:
    """Numbers that depend on the name alone, of a size that keeps deep networks' outputs near 1; float32."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    draw = np.random.default_rng(zlib.crc32(_first_name(name).encode())).random(shape)
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        values = 0.5 + draw
    elif len(shape) == 1:
        values = 0.2 * (2 * draw - 1)
    else:
        values = (2 * draw - 1) * np.sqrt(3 / np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32))


def _first_name(name: str) -> str:
    """AttnFD's MobileNetV2 has the same tensors under two names."""
    return re.sub(r"(low|high)_level_features\.", "features.", name)


def state_dict(name: str) -> dict[str, Tensor]:
    """The state dict of a key list."""
    return {key: fill(key, shape) for key, shape in keys(name).items()}


def image() -> Tensor:
    """(1, 3, 72, 104) uint8 RGB."""
    pixels = np.random.default_rng(7).integers(0, 256, (1, 3, HEIGHT_PX, WIDTH_PX), dtype=np.uint8)
    return torch.from_numpy(pixels)


def samples(output: Tensor) -> dict[str, Any]:
    """What is recorded of an output."""
    flat = output.detach().double().flatten()
    indices = torch.linspace(0, len(flat) - 1, SAMPLES).long()
    return {"shape": list(output.shape), "largest": float(flat.abs().max()), "values": flat[indices].tolist()}


@functools.cache
def recorded(name: str) -> dict[str, Any]:
    """Tap or ``logits`` -> :func:`samples` of the original network."""
    outputs: dict[str, dict[str, Any]] = json.loads((GOLDEN / "checkpoints" / "outputs.json").read_text())
    return outputs[name]


def largest_difference(name: str, outputs: dict[str, Tensor]) -> float:
    """The largest difference from the original network's outputs, relative to the largest value of each."""
    worst = 0.0
    assert set(outputs) == set(recorded(name))
    for tap, expected in recorded(name).items():
        found = samples(outputs[tap])
        assert found["shape"] == expected["shape"], (tap, found["shape"], expected["shape"])
        difference = np.abs(np.subtract(found["values"], expected["values"])).max()
        worst = max(worst, float(difference) / expected["largest"])
    return worst
