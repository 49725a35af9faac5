"""Weights files: reading safetensors and torch checkpoints without executing anything in them, and writing."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd.files import write_atomic

# Where training programs put the state dict inside a checkpoint, in the order of preference.
WRAPPERS = ("state_dict", "model", "state_dict_ema")
# Prefixes that wrappers (DDP, torch.compile, mmrazor, ...) put before every parameter's name.
PREFIXES = ("module.", "_orig_mod.", "model.", "student.", "architecture.")
# Names that lie beside a network in a checkpoint and are no part of it.
STRANGERS = ("teacher.", "distiller.", "data_preprocessor.", "loss_decode", "decode_head.loss_decode")


class Inert:
    """Stands for an object of a checkpoint that is no tensor: takes any arguments and state, keeps and does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Inert:
        """An empty object, whatever it is made from."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Forget the arguments."""

    def __setstate__(self, state: Any) -> None:
        """Forget the state."""


# What published checkpoints hold beside tensors and plain values: scores as numpy numbers (AttnFD), training options
# (timm), open-mmlab 1.x's log buffers, which refer to their own methods through getattr. None of these is imported or
# called: each name becomes Inert.
HARMLESS = (
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.dtypes.{name}DType" for name in ("Float64", "Float32", "Int64", "Int32", "Bool", "UInt8")),
    "argparse.Namespace",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",
)


@dataclass(frozen=True)
class CheckpointFile:
    """What a weights file holds.

    Attributes:
        tensors: name -> tensor on the CPU, unwrapped, the names as they are in the file.
        meta: the plain values beside the state dict (open-mmlab's ``meta``); empty where there are none.
    """

    tensors: dict[str, Tensor]
    meta: dict[str, Any]


def read_file(path: Path | str) -> CheckpointFile:
    """Read a checkpoint.

    Args:
        path: a ``.safetensors`` file, or one that ``torch.load(weights_only=True)`` reads. Nothing in the file is
            executed.

    Raises:
        SegkdError: if the file is not there, is no checkpoint, holds more than tensors and what is known to be
            harmless, or no tensor.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise SegkdError(f"{path} is a folder; expected a weights file (.safetensors, .pth or .pt)")
    if not path.is_file():
        raise SegkdError(f"no weights file {path}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    tensors = unwrap(content)
    if not tensors:
        raise SegkdError(f"{path} holds no tensors; expected the state dict of a network")
    meta = content.get("meta") if isinstance(content, Mapping) else None
    return CheckpointFile(tensors, dict(meta) if isinstance(meta, Mapping) else {})


def load_tensors(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a checkpoint, unwrapped and with the names' common prefixes taken off; see :func:`read_file`.

    Raises:
        SegkdError: as :func:`read_file`.
    """
    tensors = strip_prefixes(read_file(path).tensors)
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


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, in one step."""
    from safetensors.torch import save

    write_atomic(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))
