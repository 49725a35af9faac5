"""What is exported: a run, or a network that was built elsewhere and bears the classes of the data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkd.data.base import LabelSpace
from segkd.errors import SegkdError
from segkd.files import sha256_file
from segkd.folders import RunFiles
from segkd.recipe import Recipe, load_recipe
from segkd_distill.models.network import Network
from segkd_distill.models.saved_model import load_run
from segkd_distill.models.sources import is_foreign
from segkd_distill.models.teachers.teacher import load_teacher
from segkd_distill.models.zoo import MODELS

# A run that was trained here has it; one that was imported may not.


@dataclass(frozen=True)
class Origin:
    """A network to export.

    Attributes:
        network: in evaluation mode.
        label_space: the classes of its logits, in order.
        imgsz: height and width in pixels that it was trained for; None where nothing tells.
        name: the run folder's, or what the network was called.
        model: its architecture, or its name.
        weights_sha256: hash of its weights file, or of its tensors.
        recipe: of the run; empty without one.
    """

    network: Network
    label_space: LabelSpace
    imgsz: tuple[int, int] | None
    name: str
    model: dict[str, Any] | str
    weights_sha256: str
    recipe: Recipe


def is_run_name(name: Path) -> bool:
    """Whether a name means a run folder, and not a model."""
    return not (is_foreign(str(name)) or str(name) in MODELS)


def open_run(folder: Path) -> Origin:
    """The network of a run folder.

    Raises:
        SegkdError: if it is no run folder or lacks something.
    """
    run = load_run(folder)
    recipe = load_recipe(folder / RunFiles.RECIPE) if (folder / RunFiles.RECIPE).is_file() else Recipe()
    return Origin(
        network=run.model,
        label_space=run.label_space,
        imgsz=run.imgsz,
        name=run.folder.resolve().name,
        model=run.config.to_dict(),
        weights_sha256=sha256_file(run.folder / RunFiles.WEIGHTS),
        recipe=recipe,
    )


def open_model(name: str, weights: Path | None, label_space: LabelSpace) -> Origin:
    """A network by a name of ``--teacher``: ``hf:``, ``timm:``, ``torch:``, or a model of ours with its weights.

    Args:
        name: its name.
        weights: a weights file, for the kinds that take one.
        label_space: the data's classes; its own are brought into this order by name.

    Raises:
        SegkdError: if it cannot be loaded, or is an ONNX file already.
        MissingExtra: if the library that opens it is not installed.
    """
    if name.endswith(".onnx"):
        raise SegkdError(f"{name} is an ONNX file; export starts from a run or from a network in torch")
    network = load_teacher(name, weights, label_space)
    digest = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        digest.update(f"{key}:{tensor.dtype}:{tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return Origin(network, label_space, None, name, name, digest.hexdigest(), Recipe())
