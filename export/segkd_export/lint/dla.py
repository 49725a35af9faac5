"""Which nodes a Jetson Orin's deep learning accelerator cannot run.

TensorRT moves such nodes to the GPU without a word, which costs a copy each time, so lint names them.

Source: NVIDIA, "DLA Supported Layers and Restrictions" (TensorRT 10 and 11.4), for Jetson; DLA takes half and int8.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from segkd_deploy.chips import Chip, Line
from segkd_export.lint.graph import Finding, LintGraph, found

MAX_SIDE, MAX_BATCH = 8192, 4096
_NATIVE = frozenset({"Relu", "Sigmoid", "Tanh", "LeakyRelu", "PRelu", "BatchNormalization", "LRN"})
_ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Max", "Min", "Div", "Pow"})
# Folded into other layers, or gone when the engine is built.
_FREE = frozenset({"Constant", "Identity", "QuantizeLinear", "DequantizeLinear"})


def check_dla(graph: LintGraph, chip: Chip, line: Line, *, wanted: bool) -> list[Finding]:
    """What keeps a graph from a chip's DLA.

    Args:
        graph: the graph.
        chip: the chip.
        line: the TensorRT line.
        wanted: whether the graph is to run there; else one line says how much of it could.
    """
    if not chip.has_dla(line.name):
        if not wanted:
            return []
        message = f"{chip.title} has no DLA" if not chip.dla_cores else f"TensorRT {line.name} cannot use its DLA"
        return [Finding("error", "dla", "", "", message, "run on the GPU, or choose another chip or TensorRT")]
    refused = [(node, reason) for node in graph.nodes if (reason := reason_against(graph, node))]
    if not wanted:
        return [_summary(graph, [node for node, _ in refused])] if refused else []
    findings = [
        Finding("error", "dla", info.name, "", "free dimensions; a DLA has fixed shapes", "export one batch size")
        for info in graph.inputs
        if None in (graph.shape_of(info.name) or ())
    ]
    if not graph.half and not graph.quantised:
        findings.append(Finding("error", "dla", "", "", "float32; a DLA has half and int8", "export --precision fp16"))
    for node, reason in refused:
        findings.append(found("warning", "dla", node, f"runs on the GPU: {reason}", "keep it beside other GPU nodes"))
    return findings


def reason_against(graph: LintGraph, node: Any) -> str | None:
    """Why a node does not run on the DLA; None if it does."""
    if node.op_type in _FREE:
        return None
    shape = graph.shape_of(node.output[0])
    if shape is not None and any(side is not None and side > MAX_SIDE for side in shape[1:]):
        return f"a side above {MAX_SIDE}"
    if shape and shape[0] is not None and shape[0] > MAX_BATCH:
        return f"a batch above {MAX_BATCH}"
    if node.op_type in _NATIVE or node.op_type in _ELEMENTWISE:
        return None
    check = _CHECKS.get(node.op_type)
    return "the DLA does not have this operator" if check is None else check(graph, node)


def _convolution(graph: LintGraph, node: Any) -> str | None:
    weights = graph.shape_of(graph.input_of(node, 1)) or ()
    kernel = graph.attribute(node, "kernel_shape") or list(weights[2:])
    limits = (
        ("kernel", kernel, 1, 32),
        ("padding", graph.attribute(node, "pads", []), 0, 31),
        ("stride", graph.attribute(node, "strides", []), 1, 8),
        ("dilation", graph.attribute(node, "dilations", []), 1, 32),
        ("output channels", weights[:1], 1, MAX_SIDE),
        ("groups", [graph.attribute(node, "group", 1)], 1, MAX_SIDE),
    )
    return _outside(limits)


def _transposed(graph: LintGraph, node: Any) -> str | None:
    if any(graph.attribute(node, "pads", [])) or any(graph.attribute(node, "output_padding", [])):
        return "padding must be 0"
    if graph.attribute(node, "group", 1) != 1 or any(step != 1 for step in graph.attribute(node, "dilations", [])):
        return "neither groups nor dilation"
    return _outside((("kernel", graph.attribute(node, "kernel_shape", []), 1, 32),))


def _pool(graph: LintGraph, node: Any) -> str | None:
    return _outside(
        (
            ("window", graph.attribute(node, "kernel_shape", []), 1, 8),
            ("padding", graph.attribute(node, "pads", []), 0, 7),
            ("stride", graph.attribute(node, "strides", []), 1, 16),
        )
    )


def _resize(graph: LintGraph, node: Any) -> str | None:
    mode = graph.attribute(node, "mode", "nearest")
    coordinates = graph.attribute(node, "coordinate_transformation_mode", "half_pixel")
    if mode == "linear" and coordinates != "half_pixel":
        return f"bilinear with {coordinates}; the DLA has half_pixel"
    if mode not in ("nearest", "linear"):
        return f"mode {mode}"
    before, after = graph.shape_of(graph.input_of(node, 0)), graph.shape_of(node.output[0])
    if before is None or after is None or None in before or None in after:
        return "its sizes are not known"
    for old, new in zip(before[2:], after[2:], strict=True):
        if old is None or new is None or new % old or not 1 <= new // old <= 32:
            return f"scale {new}/{old} is not a whole number from 1 to 32"
    return None


def _concat(graph: LintGraph, node: Any) -> str | None:
    shape = graph.shape_of(node.output[0]) or ()
    axis = graph.attribute(node, "axis", 1)
    return None if axis % max(len(shape), 4) == 1 else "joins along another axis than the channels"


def _constant_factor(graph: LintGraph, node: Any) -> str | None:
    return None if graph.input_of(node, 1) in graph.constants else "its second factor is not a constant"


def _softmax(graph: LintGraph, node: Any) -> str | None:
    shape = graph.shape_of(node.output[0]) or ()
    side = shape[graph.attribute(node, "axis", -1)] if shape else None
    return None if side is not None and side <= 1024 else "its axis is longer than 1024"


_CHECKS: dict[str, Callable[[LintGraph, Any], str | None]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "Resize": _resize,
    "Concat": _concat,
    "Gemm": _constant_factor,
    "MatMul": _constant_factor,
    "Softmax": _softmax,
    "Clip": lambda graph, node: None,
}


def _outside(limits: tuple[tuple[str, Any, int, int], ...]) -> str | None:
    for name, values, low, high in limits:
        for value in values:
            if value is not None and not low <= value <= high:
                return f"{name} {value} is outside {low} to {high}"
    return None


def _summary(graph: LintGraph, refused: list[Any]) -> Finding:
    kinds = Counter(node.op_type for node in refused)
    listed = ", ".join(f"{name} {count}" for name, count in kinds.most_common(6))
    message = f"{len(refused)} of {len(graph.nodes)} nodes would not run on the DLA: {listed}"
    return Finding("info", "dla", "", "", message, "name them with --dla")
