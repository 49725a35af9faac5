"""Lint's rules for the GPU, one function each; ``RULES`` is all of them.

Sources: onnx-tensorrt's ``docs/operators.md`` for 8.5, 10.0 and 10.15; TensorRT's ``DataType`` documentation for 8.6.1
and 10; TensorRT-RTX 1.7.1 compiling graphs made for each case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from segkd_deploy.chips import Line
from segkd_export.lint.graph import Finding, LintGraph, found
from segkd_export.lint.operators import axes, new_forms, operator, opset
from segkd_export.lint.quantisation import names, quantisation

Rule = Callable[[LintGraph, Line], Iterator[Finding]]

FLOATS = frozenset({"FLOAT", "FLOAT16", "BFLOAT16"})
NEVER_TYPES = frozenset({"INT16", "UINT16", "UINT32", "UINT64", "STRING", "COMPLEX64", "COMPLEX128"})
NEW_TYPES = frozenset({"BFLOAT16", "FLOAT8E4M3FN", "INT4"})
UINT8_READERS = frozenset({"Cast", "Identity", "QuantizeLinear", "DequantizeLinear"})
_INT32 = 2**31 - 1
_MAX_RANK = 8
_LARGE_OUTPUT_BYTES = 16_000_000
_ITEM_BYTES = {"FLOAT": 4, "FLOAT16": 2, "BFLOAT16": 2, "INT64": 8, "INT32": 4, "DOUBLE": 8}


def types(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """Inputs, outputs and constants have types that the line takes."""
    tensors = [*(info.name for info in (*graph.inputs, *graph.outputs)), *graph.constants]
    for name in dict.fromkeys(tensors):
        kind = graph.type_of(name)
        if kind in NEVER_TYPES or (line.version < (9, 0) and kind in NEW_TYPES):
            yield Finding("error", "type", name, "", f"type {kind.lower()}", "use float, float16, int32 or uint8")
        elif kind == "DOUBLE":
            yield Finding("warning", "type", name, "", "double becomes float", "export in float32")
    if line.int64:
        return
    for name in graph.constants:
        values = graph.values(name) if graph.type_of(name) == "INT64" else None
        # Slices end at the largest int64 to say "to the end"; clamping keeps that meaning.
        if values is not None and values.size and abs(values).max() > _INT32 and not _only_bounds(graph, name):
            yield Finding("error", "int64", name, "", "does not fit int32, which int64 becomes", "use smaller values")


def int64_bindings(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """No input or output is int64."""
    for info in (*graph.inputs, *graph.outputs):
        if graph.type_of(info.name) != "INT64":
            continue
        became = "its binding is int64" if line.int64 else "its binding becomes int32"
        severity = "warning" if line.int64 else "error"
        yield Finding(
            severity, "int64", info.name, "", f"int64 at the graph's border; {became}", "cast to int32 or uint8"
        )


def uint8(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """uint8 exists at the graph's border alone: a cast takes it in, a cast from float lets it out."""
    for node in graph.nodes:
        first = graph.type_of(graph.input_of(node, 0))
        if first == "UINT8" and node.op_type not in UINT8_READERS:
            yield found("error", "uint8", node, "computes with uint8", "cast to float first, then transpose or compute")
        target = graph.type_of(node.output[0]) if node.op_type == "Cast" else ""
        if target == "UINT8" and first not in FLOATS and line.version < (11, 0):
            severity = "error" if line.version < (9, 0) else "warning"
            message = f"casts {first.lower()} to uint8; documented are casts from float and half"
            yield found(severity, "uint8", node, message, "cast to float before the cast to uint8")


def resize(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """Resize uses modes that TensorRT has."""
    for node in graph.of("Resize", "Upsample"):
        mode = graph.attribute(node, "mode", "nearest")
        coordinates = graph.attribute(node, "coordinate_transformation_mode", "half_pixel")
        if graph.attribute(node, "antialias", 0):
            yield found("error", "resize", node, "antialiasing", "resize without it; export does")
        if mode == "cubic":
            message = "cubic; the parser documents nearest and linear (TensorRT-RTX 1.7 takes it)"
            yield found("warning", "resize", node, message, "use linear")
        if coordinates == "tf_crop_and_resize":
            yield found("error", "resize", node, "coordinates that TensorRT does not have", "use half_pixel")
        if graph.attribute(node, "exclude_outside", 0):
            yield found("warning", "resize", node, "exclude_outside, which TensorRT ignores", "leave it out")
        if graph.attribute(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
            yield found("error", "resize", node, "keeps the aspect ratio by policy", "give the sizes as constants")
        if line.version < (9, 0) and graph.attribute(node, "axes") is not None:
            yield found("error", "resize", node, "axes, an attribute of opset 18", "give all four scales or sizes")


def pooling(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """Pooling is in two or three dimensions, not dilated, and gives no indices."""
    for node in graph.of("MaxPool", "AveragePool", "LpPool"):
        if len(node.output) > 1 and node.output[1]:
            yield found("error", "pool", node, "gives indices", "use another upsampling than MaxUnpool")
        if any(step != 1 for step in graph.attribute(node, "dilations", [])):
            yield found("error", "pool", node, "is dilated", "pool without dilation")


def shapes(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """Only the batch is free, ranks and sizes are within TensorRT's."""
    for info in graph.inputs:
        shape = graph.shape_of(info.name) or ()
        if None in shape[1:]:
            message = f"free dimensions {_text(shape)}: hundreds of layers, and an engine per size is faster"
            yield Finding("error", "shape", info.name, "", message, "export with a fixed --imgsz")
        elif None in shape:
            message = "any batch: the engine is for a range of batches"
            yield Finding("info", "shape", info.name, "", message, "say which with segkd build --batch")
    for name in graph.tensors():
        known = [side for side in graph.shape_of(name) or () if side is not None]
        if len(graph.shape_of(name) or ()) > _MAX_RANK:
            yield Finding("error", "rank", name, "", f"more than {_MAX_RANK} dimensions", "reshape it")
        if math.prod(known) > _INT32:
            severity = "error" if line.version < (10, 0) else "warning"
            message = f"{math.prod(known)} values, more than an int32 counts"
            yield Finding(severity, "size", name, "", message, "use a smaller --imgsz or batch")


def output_size(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """Outputs are small: copying logits costs more than the network."""
    for info in graph.outputs:
        shape = graph.shape_of(info.name) or ()
        size = math.prod(side for side in shape if side is not None) * _ITEM_BYTES.get(graph.type_of(info.name), 1)
        if size > _LARGE_OUTPUT_BYTES:
            message = f"{size / 1e6:.0f} MB leave the device for every call"
            yield Finding("warning", "output-size", info.name, "", message, "give labels, with the argmax in the graph")


def weights(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """Weights are finite; half ones may have overflowed."""
    for name in graph.constants:
        values = graph.values(name) if graph.type_of(name) in ("FLOAT", "FLOAT16", "DOUBLE") else None
        if values is not None and not np.isfinite(values).all():
            yield Finding("error", "weights", name, "", "holds nan or infinity", "keep this layer in float32")


def precision(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """What the graph's own types mean for speed."""
    if line.name.startswith("rtx") and graph.quantised:
        message = "TensorRT-RTX documents int8 for matrix products alone: it compiles, its speed says nothing"
        yield Finding("warning", "precision", "", "", message, "measure int8 with tensorrt")
    elif not graph.quantised and not graph.half and line.strongly_typed:
        message = f"TensorRT {line.name} runs it in float32: precision is what the graph says"
        yield Finding("info", "precision", "", "", message, "export --precision fp16 or int8 for speed")
    elif not line.strongly_typed and (graph.quantised or graph.half):
        message = f"TensorRT {line.name} is allowed lower precision by flags and chooses where"
        yield Finding("info", "precision", "", "", message, "compare its labels with segkd validate")


def control_flow(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """No loops or branches."""
    for node in graph.of("If", "Loop", "Scan"):
        advice = "export with fixed shapes, so that they fold"
        yield found("warning", "control-flow", node, "stops fusion, and CUDA graphs cannot record it", advice)


RULES: tuple[Rule, ...] = (
    opset,
    operator,
    types,
    int64_bindings,
    uint8,
    names,
    quantisation,
    resize,
    pooling,
    new_forms,
    axes,
    shapes,
    output_size,
    weights,
    precision,
    control_flow,
)


def _only_bounds(graph: LintGraph, name: str) -> bool:
    """Whether a constant is only ever an end of slices."""
    users = graph.users.get(name, [])
    return bool(users) and all(user.op_type == "Slice" and name in list(user.input)[1:3] for user in users)


def _text(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if side is None else str(side) for side in shape)
