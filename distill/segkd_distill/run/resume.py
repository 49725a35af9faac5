"""``last.ckpt``: everything that continues a run exactly, written in one step."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from segkd.errors import SegkdError
from segkd.files.unfinished import unfinished

SCHEMA = 1
# torch finds its archive in front of these bytes.
_SEAL = b"segkd sha256 "
_SEAL_BYTES = len(_SEAL) + 64 + 1
# What ends an archive without a comment.
_ARCHIVE_END, _ARCHIVE_END_BYTES = b"PK\x05\x06", 22


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors, numbers, text, lists and dicts; the file before it is kept as ``NAME.1``.

    A reader finds one of them whole at any time. The SHA-256 of everything before it ends the file.

    Raises:
        SegkdError: if a tensor of the state is not finite: such a run is not worth continuing.
    """
    _require_finite(state.get("model"), "model")
    with unfinished(path) as temporary:
        with temporary.open("r+b") as file:
            torch.save({"schema": SCHEMA, **state}, file)
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            seal = _SEAL + _digest(file, size) + b"\n"
            file.seek(size)
            file.write(seal)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.replace(path, predecessor(path))
        os.replace(temporary, path)


def predecessor(path: Path) -> Path:
    """Where the checkpoint before a checkpoint lies."""
    return path.with_name(f"{path.name}.1")


def recover_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; one that is lost or damaged is replaced, aloud, by the one before it.

    A damaged file is kept as ``NAME.damaged``.

    Raises:
        SegkdError: if neither can be read; what is wrong with the newer one.
    """
    try:
        return load_checkpoint(path)
    except SegkdError as error:
        before = predecessor(path)
        try:
            state = load_checkpoint(before)
        except SegkdError:
            raise error from None
        print(f"{error}; going on from the checkpoint before it, {before.name}", file=sys.stderr)
        if path.exists():
            os.replace(path, path.with_name(f"{path.name}.damaged"))
        os.replace(before, path)
        return state


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state onto the CPU; nothing in the file is executed.

    A file without a checksum at its end, as an earlier segkd wrote it, counts if the checksums in its archive hold.

    Raises:
        SegkdError: naming the file, if it is missing, damaged in any bit, or of another segkd.
    """
    if not path.is_file():
        raise SegkdError(f"{path}: no such file")
    try:
        with path.open("rb") as file:
            sealed = _is_sealed(file)
            intact = _is_intact(file) if sealed else _is_whole_archive(file)
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True) if intact else None
    except OSError as error:
        raise SegkdError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # a whole file that torch does not take was not written by this segkd
        raise SegkdError(f"{path}: not a checkpoint of this segkd (schema {SCHEMA})") from error
    if not intact and sealed:
        raise SegkdError(f"{path}: damaged: its content has another checksum than when it was written")
    if not intact:
        raise SegkdError(f"{path}: cut off, damaged, or not a checkpoint of this segkd: its checksum is missing")
    if not isinstance(state, dict) or state.get("schema") != SCHEMA:
        raise SegkdError(f"{path}: not a checkpoint of this segkd (schema {SCHEMA})")
    return state


def _digest(file: IO[bytes], size: int) -> bytes:
    """SHA-256 of the next ``size`` bytes, as hex."""
    digest = hashlib.sha256()
    while size > 0 and (block := file.read(min(size, 1 << 20))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest().encode()


def _is_sealed(file: IO[bytes]) -> bool:
    """Whether a checksum ends a file."""
    size = file.seek(0, os.SEEK_END)
    if size < _SEAL_BYTES:
        return False
    file.seek(size - _SEAL_BYTES)
    end = file.read()
    return end.startswith(_SEAL) and end.endswith(b"\n")


def _is_intact(file: IO[bytes]) -> bool:
    """Whether the checksum that ends a file is that of its content."""
    size = file.seek(0, os.SEEK_END) - _SEAL_BYTES
    file.seek(0)
    found = _digest(file, size)
    return file.read() == _SEAL + found + b"\n"


def _is_whole_archive(file: IO[bytes]) -> bool:
    """Whether a file is an archive up to its last byte, every part of it with the checksum it was written with."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _ARCHIVE_END_BYTES))
    if not file.read().startswith(_ARCHIVE_END):
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError):
        return False


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
            "start again with a lower train.lr or more train.warmup_iters"
        )
