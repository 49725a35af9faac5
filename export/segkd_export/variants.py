"""The graphs of an artifact, one pair of files per variant, and how far each is from torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import segkd
from segkd.files import sha256_file, write_atomic
from segkd.manifest import Variant
from segkd_export.graph.graph import OUTPUTS, DeployGraph, deployable
from segkd_export.graph.graph_check import GraphCheck, check_graph, compare_graph
from segkd_export.graph.to_onnx import OPSET, cut_to, to_onnx
from segkd_export.precision.fp16 import to_fp16
from segkd_export.precision.half_range import SMALLEST
from segkd_export.precision.int8 import FORMS
from segkd_export.precision.int8_search import Int8Options, Quantised, make_int8
from segkd_export.precision.probe import batches_of
from segkd_export.reference import Prediction
from segkd_export.sources import Sources, constants


@dataclass(frozen=True)
class Written:
    """A variant that lies in the folder.

    Attributes:
        variant: for the manifest.
        nodes: of the complete graph.
        check: how far it is from torch.
    """

    variant: Variant
    nodes: int
    check: GraphCheck


def write_variants(
    folder: Path,
    sources: Sources,
    student: Prediction,
    batch: int | tuple[int, int],
    int8: Int8Options,
    say: Callable[[str], None],
    opset: int = OPSET,
) -> tuple[dict[str, Written], Quantised | None]:
    """Write every variant that was asked for; the float32 graph is compared with torch in any case.

    Args:
        folder: where to.
        sources: network, camera, precisions and frames.
        student: the torch network on the reference frames.
        batch: frames per call, or the smallest and the largest number of them.
        int8: how int8 is made.
        say: is told, in one line, what is being done.
        opset: of every graph.

    Returns:
        Variant -> what was written; and how int8 came to be, if it did.

    Raises:
        GateFailed: if the float32 graph is not the network, logits are not finite, or int8 does not hold its limits.
    """
    say(f"exporting {sources.imgsz[0]}x{sources.imgsz[1]} graphs")
    model = _float32(sources, batch, opset)
    calls = call_size(batch)
    images = sources.frames.images

    say("comparing onnxruntime with torch")
    graph, logits_graph = _write(folder, "fp32", model)
    found: dict[str, tuple[Any, GraphCheck]] = {
        "fp32": (model, check_graph(graph, logits_graph, images, student, calls))
    }
    quantised, float_layers = None, list[str]()
    if "fp32" not in sources.precisions:
        graph.unlink()
        logits_graph.unlink()
        found = {}

    if "fp16" in sources.precisions:
        half, float_layers = _half(model, images, calls, say)
        found["fp16"] = (half, compare_graph(*_write(folder, "fp16", half), images, student, calls))

    if sources.calibration is not None:
        classes = sources.origin.label_space.num_classes
        quantised = make_int8(model, sources.calibration, int8, batch=calls, num_classes=classes, say=say)
        for form, graph_of_form in quantised.models.items():
            files = _write(folder, form, graph_of_form)
            found[form] = (graph_of_form, compare_graph(*files, images, student, calls))

    return {
        name: Written(
            _variant(folder, name, opset, quantised, float_layers), len(cut_to(graph, OUTPUTS[0]).graph.node), check
        )
        for name, (graph, check) in found.items()
    }, quantised


def call_size(batch: int | tuple[int, int]) -> int:
    """Frames of one call where any number goes: two where they may be two, so that none is treated as the only one."""
    return batch if isinstance(batch, int) else max(batch[0], min(2, batch[1]))


def _float32(sources: Sources, batch: int | tuple[int, int], opset: int) -> Any:
    network = deployable(sources.origin.network, sources.imgsz)
    graph = DeployGraph(network, sources.camera)
    batch_range = None if isinstance(batch, int) else batch
    frames = torch.zeros(sources.camera.frames_shape(call_size(batch)), dtype=torch.uint8)
    return to_onnx(graph, frames, OUTPUTS, _metadata(sources), batch_range, opset)


def _write(folder: Path, name: str, model: Any) -> tuple[Path, Path]:
    """Write the complete graph and its logits graph."""
    files = folder / f"model.{name}.onnx", folder / f"model.{name}.logits.onnx"
    for file, output in zip(files, OUTPUTS, strict=True):
        write_atomic(file, cut_to(model, output).SerializeToString(deterministic=True))
    return files


def _half(model: Any, images: NDArray[np.uint8], calls: int, say: Callable[[str], None]) -> tuple[Any, list[str]]:
    """The fp16 graph, and what stays in float32 in it."""
    say("looking at the range of every value for half precision")
    half, float_layers = to_fp16(model, batches_of(images, calls))
    if float_layers:
        say(
            f"fp16: {len(float_layers)} operators stay in float32, their values leave the range of halves (65504, or "
            f"below {SMALLEST:.0e}): {', '.join(float_layers)}"
        )
    return half, float_layers


def _variant(folder: Path, name: str, opset: int, quantised: Quantised | None, half_floats: list[str]) -> Variant:
    file = folder / f"model.{name}.onnx"
    form = FORMS.get(name)
    float_layers = half_floats if name == "fp16" else []
    if form is not None and quantised is not None:
        float_layers = quantised.float_layers
    return Variant(
        file=file.name,
        logits_file=f"model.{name}.logits.onnx",
        precision=name if form is None else "int8",
        opset=opset,
        sha256=sha256_file(file),
        bytes=file.stat().st_size,
        activations=None if form is None else form.activations,
        float_layers=float_layers,
    )


def _metadata(sources: Sources) -> dict[str, str]:
    """What a graph says of itself."""
    labels, model, camera = sources.origin.label_space, sources.origin.network, sources.camera
    geometry = camera.geometry()
    content = None if geometry is None else geometry.content_px()
    said = {
        "task": "semantic-segmentation",
        "classes": json.dumps(list(labels.names)),
        "palette": json.dumps([list(colour) for colour in labels.palette]),
        "ignore": str(labels.ignore),
        "color": camera.color,
        "mean": json.dumps(constants(model.mean)),
        "std": json.dumps(constants(model.std)),
        "weights_sha256": sources.origin.weights_sha256,
        "segkd_version": segkd.__version__,
    }
    if camera.yuv is not None:
        said["yuv"] = camera.yuv
    if content is not None:
        said["content"] = json.dumps(content)
    return said
