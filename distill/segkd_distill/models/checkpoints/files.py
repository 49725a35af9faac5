"""Weights files: reading safetensors and torch checkpoints without executing anything in them, and writing."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd.files import write_atomic
from segkd_distill.models.checkpoints.wrappings import find_network, find_state_dict


class Inert:
    """Stands for an object of a checkpoint that is no tensor: takes any arguments and state, keeps and does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Inert:
        """An empty object, whatever it is made from."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Forget the arguments."""

    def __setstate__(self, state: Any) -> None:
        """Forget the state."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Forget an entry."""


# What published checkpoints hold beside tensors and plain values: scores as numpy numbers (AttnFD), training options
# (timm), open-mmlab 1.x's log buffers, which refer to their own methods through getattr. None of these is imported or
# called: each name becomes Inert.
HARMLESS = (
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.dtypes.{name}DType" for name in ("Float64", "Float32", "Int64", "Int32", "Bool", "UInt8")),
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pathlib._local.PosixPath",
    *(
        f"{package}.AttributeDict"
        for package in (
            "pytorch_lightning.utilities.parsing",
            "lightning_fabric.utilities.data",
            "lightning.fabric.utilities.data",
            "lightning.pytorch.utilities.parsing",
        )
    ),
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",
)


@dataclass(frozen=True)
class CheckpointFile:
    """What a weights file holds.

    Attributes:
        tensors: name -> tensor on the CPU, unwrapped, the names as they are in the file.
        meta: the plain values beside the state dict (open-mmlab's ``meta``); empty where there are none.
        notes: which of several state dicts was taken, one sentence each.
        prefix: the part of the names that was asked for behind ``#``; None if none was.
    """

    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    notes: tuple[str, ...] = ()
    prefix: str | None = None


def read_file(path: Path | str) -> CheckpointFile:
    """Read a checkpoint.

    Args:
        path: a ``.safetensors`` file, or one that ``torch.load(weights_only=True)`` reads. Nothing in the file is
            executed.

    Raises:
        SegkdError: if the file is not there, is no checkpoint, holds more than tensors and what is known to be
            harmless, or no tensor.
    """
    path, key = split_key(path)
    if path.is_dir():
        raise SegkdError(f"{path} is a folder; expected a weights file (.safetensors, .pth or .pt)")
    if not path.is_file():
        raise SegkdError(f"no weights file {path}")

    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    try:
        found = find_state_dict(content, key)
    except SegkdError as error:
        raise SegkdError(f"{path} {error}") from error
    if not found.tensors:
        keys = f" (it has the keys {_keys_of(content)})" if isinstance(content, Mapping) else ""
        raise SegkdError(f"{path} holds no tensors; expected the state dict of a network{keys}")
    notes: tuple[str, ...] = ()

    if found.others:
        listed = ", ".join(found.others)
        notes = (
            f"several state dicts: {found.key or 'the file itself'} is taken, not {listed} (FILE#KEY takes another)",
        )
    meta = content.get("meta") if isinstance(content, Mapping) else None
    prefix = key if key is not None and key != found.key else None
    return CheckpointFile(found.tensors, dict(meta) if isinstance(meta, Mapping) else {}, notes, prefix)


def split_key(path: Path | str) -> tuple[Path, str | None]:
    """A file and the key behind ``#`` that says which of its state dicts is meant."""
    whole = Path(path).expanduser()
    before, mark, key = str(whole).rpartition("#")
    return (whole, None) if whole.exists() or not mark or not Path(before).exists() else (Path(before), key)


def _keys_of(content: Mapping[Any, Any]) -> str:
    keys = [str(key) for key in content]
    return ", ".join(keys[:8]) + (", ..." if len(keys) > 8 else "")


def load_tensors(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a checkpoint, unwrapped and with the names' common prefixes taken off; see :func:`read_file`.

    Raises:
        SegkdError: as :func:`read_file`.
    """
    file = read_file(path)
    tensors = find_network(file.tensors, file.prefix).tensors
    if not tensors:
        raise SegkdError(f"{path} holds no tensors of a network; expected its state dict")
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
    if _is_torchscript(path):
        raise SegkdError(
            f"{path} is a TorchScript program, which is code: save the weights alone, "
            "torch.save(torch.jit.load(FILE).state_dict(), NEW), where its origin is trusted"
        )

    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([(Inert, name) for name in HARMLESS]):
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load fails on foreign bytes with whatever its parser meets first
        if "Unsupported operand" in str(error):
            raise SegkdError(
                f"{path} holds more than tensors, or was pickled with another protocol than torch.save's, and loading "
                "that could run its code; save the state dict alone with torch.save, or as safetensors"
            ) from error
        blocked = re.search(r"GLOBAL ([\w.]+)|function (\S+)", str(error))
        if blocked:
            raise SegkdError(
                f"{path} holds more than tensors ({blocked[1] or blocked[2]}), and loading that could run its code; "
                "save the state dict alone, or as safetensors"
            ) from error
        raise SegkdError(
            f"{path} cannot be read as a checkpoint; expected .safetensors, or a state dict saved with torch.save"
        ) from error


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, in one step."""
    from safetensors.torch import save

    write_atomic(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))
