"""``last.ckpt``: everything that continues a run exactly, written in one step."""

from __future__ import annotations

import os
import random
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segkd.errors import SegkdError

SCHEMA = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors, numbers, text, lists and dicts; a reader sees the old file or all of the new.

    Raises:
        SegkdError: if a tensor of the state is not finite: such a run is not worth continuing.
    """
    _require_finite(state.get("model"), "model")
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("xb") as file:
            torch.save({"schema": SCHEMA, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state onto the CPU; nothing in the file is executed.

    Raises:
        SegkdError: naming the file, if it is missing, damaged, or of another segkd.
    """
    if not path.is_file():
        raise SegkdError(f"{path}: no such file, so there is nothing to resume; start the run without --resume")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SegkdError(f"{path}: cannot be read as a checkpoint ({reason})") from error
    if not isinstance(state, dict) or state.get("schema") != SCHEMA:
        raise SegkdError(f"{path}: not a checkpoint of this segkd (schema {SCHEMA})")
    return state


def seed_random(seed: int) -> None:
    """Seed the global random number generators of Python, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of the global random number generators, made of what ``torch.load(weights_only=True)`` accepts."""
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "python": (version, torch.tensor(words), gauss),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def set_random_state(state: dict[str, Any], device: torch.device) -> None:
    """The inverse of :func:`random_state`; a state without CUDA leaves CUDA's generator as it is."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], device)


def _require_finite(value: Any, place: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _require_finite(item, f"{place}.{key}")
    elif isinstance(value, torch.Tensor) and value.is_floating_point() and not bool(torch.isfinite(value).all()):
        raise SegkdError(
            f"{place} has values that are not finite: the run diverged, last.ckpt is left as it was; "
            "lower train.lr or raise train.warmup_iters, and resume or start again"
        )
