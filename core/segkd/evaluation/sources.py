"""What can be scored, and which room opens it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from segkd.data.base import LabelSpace
from segkd.errors import SegkdError
from segkd.evaluation.predictor import Inference, Predictor
from segkd.files.written_files import ModelCard, read_checked
from segkd.folders import ArtifactFiles, RunFiles, is_artifact, is_run
from segkd.recipe import load_recipe
from segkd.recipe.names import FOREIGN_MODELS

# Kind -> `module:function` that takes a Request and gives a Predictor.
EVAL_SOURCES: dict[str, str] = {
    "run": "segkd_distill.inference.eval_source:open_run",
    "checkpoint": "segkd_distill.inference.eval_source:open_checkpoint",
    "network": "segkd_distill.inference.eval_source:open_network",
    "artifact": "segkd_deploy.eval_source:open_graph",
}


@dataclass(frozen=True)
class Request:
    """What to open.

    Attributes:
        source: a run folder, a weights file, an artifact folder, or a name that an adapter opens (``hf:...``).
        labels: the classes of the data set.
        inference: how images become labels.
        model: the architecture of a weights file.
        variant: the variant of an artifact.
        provider: the provider of an artifact's runtime.
        device: where a network runs.
        threads: CPU threads; None for the library's own number.
        class_map: class of the network -> class of the data, None for one that is left out.
        fit: how images reach a network that takes one size only: "tile" or "resize".
    """

    source: str
    labels: LabelSpace
    inference: Inference = field(default_factory=Inference)
    model: str | None = None
    variant: str | None = None
    provider: str = "cpu"
    device: str = "auto"
    threads: int | None = None
    class_map: Mapping[str, str | None] | None = None
    fit: Literal["tile", "resize"] | None = None


def kind_of(source: str, model: str | None = None) -> str:
    """Which kind of source a path or name is, a key of ``EVAL_SOURCES``.

    Raises:
        SegkdError: if there is nothing of this name, or it cannot be told what it is.
    """
    if source.startswith(FOREIGN_MODELS) or source.endswith(".onnx"):
        return "network"
    path = Path(source).expanduser()
    if is_artifact(path):
        return "artifact"
    if is_run(path):
        return "run"
    if path.is_dir():
        raise SegkdError(
            f"{path} is no run folder and no artifact folder: "
            f"it has neither {RunFiles.CARD} nor {ArtifactFiles.MANIFEST}"
        )
    if not path.is_file() and model is None:
        raise SegkdError(f"{path} is no run folder: there is nothing of this name; give a run, an artifact or a file")
    if model is None:
        raise SegkdError(f"{path} is a weights file: say of which network with --model NAME (`segkd list models`)")
    return "checkpoint"


def default_data(source: str) -> str:
    """The data to score a source on when none is named: the validation data of a run.

    Raises:
        SegkdError: if it names none.
    """
    recipe = Path(source).expanduser() / RunFiles.RECIPE
    if not recipe.is_file():
        raise SegkdError(f"{source} has no {RunFiles.RECIPE} that names its validation data: give --data NAME:PATH")
    spec = load_recipe(recipe).data.val
    if spec is None:
        raise SegkdError(f"{recipe} names no validation data: give --data NAME:PATH")
    return spec


def default_crop(source: str) -> tuple[int, int]:
    """The sliding window's size when none is named: the size that a run was trained and validated for.

    Raises:
        SegkdError: if the source is no run.
    """
    card = Path(source).expanduser() / RunFiles.CARD
    if not card.is_file():
        raise SegkdError("--mode slide needs the size of its window: give --crop HxW")
    height_px, width_px = read_checked(card, ModelCard, "give --crop HxW", ("imgsz",))["imgsz"]
    return height_px, width_px


def open_source(request: Request) -> Predictor:
    """The predictor of a source; it opens with ``with``.

    Raises:
        SegkdError: if it cannot be opened, or has no use for one of the settings.
        BackendMissing: if a device or runtime is not there.
    """
    kind = kind_of(request.source, request.model)
    if request.model is not None and kind != "checkpoint":
        raise SegkdError(f"--model {request.model} is for weights files; {request.source} says itself what it is")
    if request.variant is not None and kind != "artifact":
        raise SegkdError(f"--variant {request.variant} is for artifacts; {request.source} is none")
    if request.class_map is not None and kind == "artifact":
        raise SegkdError(
            f"--class-map: the graphs of {request.source} have taken the most likely class already, so no class can be "
            "left out or merged before it; score the run that it was exported from"
        )
    if request.fit is not None and kind == "artifact":
        raise SegkdError(f"--fit {request.fit}: the graphs of {request.source} resize frames themselves; leave it out")
    module, attribute = EVAL_SOURCES[kind].split(":")
    opened: Predictor = getattr(importlib.import_module(module), attribute)(request)
    return opened
