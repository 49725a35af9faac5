"""Lint's rules about quantisation: the Q/DQ form that TensorRT takes.

Source: onnx-tensorrt's ``docs/operators.md``; TensorRT-RTX 1.7.1 refusing graphs made for each case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from segkd_deploy.chips import Line
from segkd_export.lint.graph import Finding, LintGraph, found

_QDQ = ("QuantizeLinear", "DequantizeLinear")


def names(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """Q/DQ nodes have names of their own: the parser gives them to layers, which may not share one."""
    counts = Counter(node.name for node in graph.of(*_QDQ) if node.name)
    for node in graph.of(*_QDQ):
        if counts[node.name] > 1:
            yield found("error", "name", node, "another Q/DQ node has the same name", "give every node its own name")


def quantisation(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """Q/DQ is symmetric, signed, with constant positive scales, per tensor for activations."""
    for node in graph.of(*_QDQ):
        data, scale, zero = (graph.input_of(node, index) for index in range(3))
        stored = graph.type_of(zero) if zero else graph.type_of(data)
        advice = "quantise symmetrically to int8: ActivationSymmetric, WeightSymmetric, QInt8"

        # Types.
        if "UINT8" in (stored, graph.type_of(data)):
            yield found("error", "qdq-type", node, "unsigned 8-bit quantisation", advice)
        elif node.op_type == "DequantizeLinear" and graph.type_of(data) == "INT32":
            yield found("error", "qdq-bias", node, "an int32 bias", "leave biases in float: QuantizeBias False")
        elif (values := graph.values(zero)) is not None and values.any():
            yield found("error", "qdq-zero-point", node, "zero point is not zero", advice)

        # Scales.
        values = graph.values(scale)
        if scale not in graph.constants:
            yield found("error", "qdq-scale", node, "scale is not a constant", "store scales as initializers")
        elif values is not None and not (values > 0).all():
            yield found("error", "qdq-scale", node, "scale is not positive", "calibrate again")
        if values is not None and values.size > 1:
            yield from _per_channel(graph, node)
        if graph.type_of(scale) == "FLOAT16" and not line.strongly_typed:
            advice = "keep scales in float32"
            yield found("warning", "qdq-scale", node, "half scale, which is newer than this TensorRT", advice)


def _per_channel(graph: LintGraph, node: Any) -> Iterator[Finding]:
    """Scales per channel are for weights, along their output channels."""
    source = graph.input_of(node, 0)
    maker = graph.makers.get(source)
    if source not in graph.constants and not (maker is not None and maker.input[0] in graph.constants):
        message = "activations with a scale per channel, which are computed in float"
        yield found("warning", "qdq-axis", node, message, "quantise activations per tensor")
        return
    for user in _weight_users(graph, node):
        expected = 1 if user.op_type == "ConvTranspose" else 0
        if user.op_type in ("Conv", "ConvTranspose") and graph.attribute(node, "axis", 1) != expected:
            message = (
                f"scales along axis {graph.attribute(node, 'axis', 1)} of the weights of {user.name or user.op_type}"
            )
            advice = f"quantise weights along axis {expected}, or they are computed in float"
            yield found("warning", "qdq-axis", node, message, advice)


def _weight_users(graph: LintGraph, node: Any) -> Iterator[Any]:
    """The nodes that read a weight through Q/DQ."""
    for user in graph.users.get(node.output[0], []):
        if user.op_type == "DequantizeLinear":
            yield from graph.users.get(user.output[0], [])
        else:
            yield user
