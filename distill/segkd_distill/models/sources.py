"""Networks by the names that ``--teacher`` and ``--student`` take: our own, and those that were built elsewhere."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, NamedTuple

from segkd.errors import SegkdError, unknown_name
from segkd.recipe.names import FOREIGN_MODELS
from segkd_distill.models.network import Network
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import MODELS, ModelConfig, build_model

# Prefix -> the module that opens what comes after it: `open_teacher(rest, weights, num_classes) -> Teacher`, and
# `open_student(rest, num_classes) -> (Segmenter, ModelConfig)` where it can be trained.
ADAPTERS: dict[str, str] = {
    "hf:": "segkd_distill.models.adapters.hf",
    "timm:": "segkd_distill.models.adapters.timm",
    "torch:": "segkd_distill.models.adapters.torch_module",
}
ONNX_ADAPTER = "segkd_distill.models.adapters.onnx_file"


class Teacher(NamedTuple):
    """A network to learn from.

    Attributes:
        network: with its weights.
        class_names: of its logits, in their order; None where nothing tells them.
    """

    network: Network
    class_names: tuple[str, ...] | None


def is_foreign(name: str) -> bool:
    """Whether an adapter opens this name."""
    return name.startswith(FOREIGN_MODELS) or name.endswith(".onnx")


def open_foreign_teacher(name: str, weights: str | Path | None, num_classes: int) -> Teacher:
    """Open a network that was built elsewhere.

    Args:
        name: ``hf:...``, ``timm:...``, ``torch:...``, or an ONNX file.
        weights: a weights file, for the kinds that take one.
        num_classes: the data's classes; for a network whose weights file does not tell.

    Raises:
        SegkdError: if it is not there or cannot be a teacher.
        MissingExtra: if its library is not installed.
    """
    adapter, rest = _adapter(name)
    opened: Teacher = adapter.open_teacher(rest, weights, num_classes)
    return opened


def open_model(name: str, num_classes: int) -> tuple[Segmenter, ModelConfig]:
    """Build a network to train, with fresh weights or those that its name brings.

    Args:
        name: a model of ``segkd list models``, ``timm:ENCODER+HEAD``, or ``hf:`` with a SegFormer.
        num_classes: classes.

    Returns:
        The network, and its architecture for ``model.json``.

    Raises:
        SegkdError: for an unknown name, or one that can only be a teacher.
        MissingExtra: if its library is not installed.
    """
    if not is_foreign(name):
        if name not in MODELS:
            raise unknown_name("model", name, MODELS)
        return build_model(name, num_classes), MODELS[name]
    adapter, rest = _adapter(name)
    if not hasattr(adapter, "open_student"):
        raise SegkdError(f"{name} can teach but not be trained here; train a model of `segkd list models`")
    opened: tuple[Segmenter, ModelConfig] = adapter.open_student(rest, num_classes)
    return opened


def absolute_model(name: str) -> str:
    """A model's name with the path in it, if there is one, made absolute."""
    prefix = next((p for p in ("hf:",) if name.startswith(p)), "")
    path = Path(name[len(prefix) :]).expanduser()
    return f"{prefix}{path.absolute()}" if path.exists() else name


def _adapter(name: str) -> tuple[Any, str]:
    prefix = next((p for p in ADAPTERS if name.startswith(p)), None)
    if prefix is None:
        return importlib.import_module(ONNX_ADAPTER), name
    return importlib.import_module(ADAPTERS[prefix]), name[len(prefix) :]
