"""Reference values of the published implementations; tests/golden/PROVENANCE.md says where they come from.

cwd = golden("cwd")
s, t = cwd.pair("logits_s", "logits_t", torch.float64)     # s requires a gradient
cwd.check(cwd.case("torchdistiller_logits_T4"), channel_wise(s, t, temperature=4.0), s)
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent / "golden"
LOSS_RTOL = {torch.float64: 1e-9, torch.float32: 1e-5}


def uniform(seed: int, shape: tuple[int, ...] | list[int], scale: float) -> np.ndarray:
    """float32 numbers in -scale..scale, the recipe of all inputs."""
    return ((2 * np.random.default_rng(seed).random(tuple(shape)) - 1) * scale).astype(np.float32)


def label_blocks(seed: int, batch: int, height: int, width: int, classes: int) -> np.ndarray:
    """int64 (batch, height, width): 8x8 blocks of one class, 3 % and two borders ignored (255)."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, classes, size=(batch, height // 8, width // 8))
    labels = blocks.repeat(8, 1).repeat(8, 2)
    labels[rng.random((batch, height, width)) < 0.03] = 255
    labels[:, :3, :] = 255
    labels[:, :, width - 3 :] = 255
    return labels.astype(np.int64)


def from_recipe(recipe: Any) -> np.ndarray:
    """An input from its recipe; where the recipe has a sha256, the bytes are checked.

    Args:
        recipe: ``{"kind": "uniform" | "labels", ...}``, the text ``uni(seed,(shape),scale)``, or a list of numbers.
    """
    if isinstance(recipe, str):
        found = re.fullmatch(r"uni\((\d+),\(([\d,]+)\),([\d.]+)\)", recipe)
        if found is None:
            raise ValueError(f"not a recipe: {recipe}")
        return uniform(int(found[1]), [int(n) for n in found[2].split(",") if n], float(found[3]))
    if isinstance(recipe, list):
        return np.asarray(recipe, np.float32)
    if recipe["kind"] == "uniform":
        array = uniform(recipe["seed"], recipe["shape"], recipe["scale"])
        expected = recipe["sha256_f32"]
    else:
        array = label_blocks(recipe["seed"], recipe["B"], recipe["H"], recipe["W"], recipe["C"])
        expected = recipe["sha256_i64"]
    if hashlib.sha256(array.tobytes()).hexdigest() != expected:
        raise ValueError(f"the recipe {recipe} no longer gives the bytes it was recorded with")
    return array


def parameters(manifest: list[dict[str, Any]], dtype: torch.dtype) -> dict[str, Tensor]:
    """Name -> weights of an official module, from its manifest; map them by role."""
    made = {}
    for entry in manifest:
        shape = entry["shape"]
        scale = {"u": 1.0, "0.1u": 0.1, "1+0.1u": 0.1, "u*1/sqrt(fan_in)": 1 / math.sqrt(math.prod(shape[1:]))}
        offset = 1.0 if entry["rule"] == "1+0.1u" else 0.0
        values = uniform(entry["seed"], shape, scale[entry["rule"]]) + np.float32(offset)
        made[entry["name"]] = torch.from_numpy(values).to(dtype)
    return made


@dataclass(frozen=True)
class Golden:
    """One file of reference values.

    Attributes:
        meta: the whole JSON.
        inputs: name -> float32 array (labels: int64), or a list of arrays.
        arrays: the npz: gradients and stored states.
        cases: id -> case.
    """

    meta: dict[str, Any]
    inputs: dict[str, Any]
    arrays: dict[str, np.ndarray]
    cases: dict[str, dict[str, Any]]

    def case(self, name: str) -> dict[str, Any]:
        return self.cases[name]

    def tensor(self, name: str, dtype: torch.dtype = torch.float32, *, grad: bool = False) -> Tensor:
        """An input as a new tensor; labels stay int64."""
        array = torch.from_numpy(self.inputs[name].copy())
        return array.to(dtype).requires_grad_(grad) if array.is_floating_point() else array

    def pair(self, student: str, teacher: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The student's input, which requires a gradient, and the teacher's."""
        return self.tensor(student, dtype, grad=True), self.tensor(teacher, dtype)

    def check_loss(
        self, case: dict[str, Any], loss: Tensor, *, part: str | None = None, rtol: float | None = None
    ) -> None:
        """Assert the recorded loss of the loss's dtype, within ``LOSS_RTOL`` unless told otherwise.

        Where only float32 was recorded, a float64 loss is compared with it in float32's tolerance. ``part`` names
        one of several recorded values.
        """
        recorded = str(loss.dtype).removeprefix("torch.")
        if recorded not in case["loss"]:
            recorded = "float32"
        expected = case["loss"][recorded]
        tolerance = rtol or LOSS_RTOL[getattr(torch, recorded)]
        assert loss.shape == ()
        np.testing.assert_allclose(loss.item(), expected[part] if part else expected, rtol=tolerance, atol=0)

    def check_grad(self, key: str, grad: Tensor | None, *, rtol: float = 1e-5) -> None:
        """Assert a recorded gradient within ``rtol * max|gradient| + 1e-8``."""
        assert grad is not None
        expected = self.arrays[key]
        atol = rtol * float(np.abs(expected).max()) + 1e-8
        np.testing.assert_allclose(grad.detach().numpy(), expected, rtol=0, atol=atol)

    def check(self, case: dict[str, Any], loss: Tensor, student: Tensor) -> None:
        """Assert the loss and, where the case has one, its gradient to the student's input; runs backward."""
        self.check_loss(case, loss)
        loss.backward()
        if "grad_key" in case:
            self.check_grad(case["grad_key"], student.grad)


@functools.cache
def golden(name: str) -> Golden:
    """Load ``tests/golden/<name>.json`` and its npz, and make the inputs from their recipes."""
    meta = json.loads((FOLDER / f"{name}.json").read_text())
    with np.load(FOLDER / meta["npz"]) as npz:
        arrays = {key: npz[key] for key in npz.files}
    inputs: dict[str, Any] = {}
    for key, recipe in meta["inputs"].items():
        listed = isinstance(recipe, list) and isinstance(recipe[0], str)
        inputs[key] = [from_recipe(part) for part in recipe] if listed else from_recipe(recipe)
    return Golden(meta, inputs, arrays, {case["id"]: case for case in meta.get("cases", [])})
