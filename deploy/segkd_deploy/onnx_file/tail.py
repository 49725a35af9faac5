"""How a complete graph turns its logits into labels, read from the graph's own nodes.

Source: the field numbers of ``onnx.proto`` (ONNX IR 3 to 11; they never change).
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segkd.errors import SegkdError
from segkd_deploy.graph_spec import LabelResize
from segkd_deploy.onnx_file.header import wire_fields, wire_messages, wire_number, wire_text, wire_varint

# onnx.proto: message and field -> number.
_MODEL_GRAPH, _GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT, _INFO_NAME = 7, 1, 5, 12, 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP_TYPE, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_TEXT = 1, 3, 4
_TENSOR_DATA_TYPE, _TENSOR_INT64S, _TENSOR_NAME, _TENSOR_RAW = 2, 7, 8, 9
_INT64 = 7

_HEIGHT, _WIDTH = 2, 3


@dataclass(frozen=True)
class _Node:
    op_type: str
    inputs: list[str]
    attributes: dict[str, str | int | None]


@dataclass
class _Graph:
    nodes: dict[str, _Node] = field(default_factory=dict)
    """Tensor -> the node that makes it."""
    constants: dict[str, memoryview] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)


def read_tail(path: Path, logits: str, grid: tuple[int, int], labels: tuple[int, int]) -> LabelResize:
    """What lies between the logits and the first output: bilinear ``Resize``, crops, ``ArgMax`` over classes, casts.

    Args:
        path: a complete graph.
        logits: the tensor's name.
        grid: its height and width.
        labels: height and width of the output.

    Raises:
        SegkdError: if the file is no ONNX model, or anything else happens there; says what.
    """
    try:
        with path.open("rb") as file:
            # Not closed by hand: an error that is handled below still holds views of it.
            graph = _read(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
        return _walk(graph, logits, grid, labels)
    except OSError as error:
        raise SegkdError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
        raise SegkdError(f"{path}: the host decoder cannot stand for what follows {logits!r}: {error}") from None


def _walk(graph: _Graph, logits: str, grid: tuple[int, int], labels: tuple[int, int]) -> LabelResize:
    """From the output back to the logits."""
    name, seen_argmax = graph.outputs[0], False
    size, align_corners, resized = grid, False, False
    window = {_HEIGHT: 0, _WIDTH: 0}
    while name != logits:
        if name not in graph.nodes:
            raise ValueError(f"the labels come from {name!r}")
        node = graph.nodes[name]
        if node.op_type == "ArgMax" and not seen_argmax:
            _check(node, {"axis": (1,), "keepdims": (0,), "select_last_index": (0, None)})
            seen_argmax = True
        elif node.op_type == "Slice" and seen_argmax:
            for axis, start in _slice(graph, node):
                window[axis] += start
        elif node.op_type == "Resize" and seen_argmax and not resized:
            modes = ("half_pixel", "align_corners", None)
            _check(node, {"mode": ("linear",), "coordinate_transformation_mode": modes, "antialias": (0, None)})
            size, resized = _sizes(graph, node), True
            align_corners = node.attributes.get("coordinate_transformation_mode") == "align_corners"
        elif node.op_type != "Cast" or seen_argmax:
            raise ValueError(f"{node.op_type} is not expected there")
        name = node.inputs[0]
    if not seen_argmax:
        raise ValueError("there is no ArgMax")
    return LabelResize(size, window[_HEIGHT], window[_WIDTH], labels, align_corners)


def _check(node: _Node, allowed: dict[str, tuple[str | int | None, ...]]) -> None:
    for name, values in allowed.items():
        if node.attributes.get(name) not in values:
            raise ValueError(f"{node.op_type} has {name} {node.attributes.get(name)!r}, not {values[0]!r}")


def _sizes(graph: _Graph, node: _Node) -> tuple[int, int]:
    """Height and width; where any number of frames goes, they are joined to the shape of what comes in."""
    if len(node.inputs) < 4:
        raise ValueError("Resize has scales, not sizes")
    name = node.inputs[3]
    if name in graph.nodes and graph.nodes[name].op_type == "Concat":
        name = graph.nodes[name].inputs[-1]
    *_, height, width = _integers(graph, name)
    return height, width


def _slice(graph: _Graph, node: _Node) -> list[tuple[int, int]]:
    """Axis and first index of everything that is cut."""
    starts, axes = _integers(graph, node.inputs[1]), _integers(graph, node.inputs[3])
    steps = _integers(graph, node.inputs[4]) if len(node.inputs) > 4 else [1] * len(axes)
    if min(starts) < 0 or set(steps) != {1} or not set(axes) <= {_HEIGHT, _WIDTH}:
        raise ValueError(f"Slice has starts {starts}, axes {axes} and steps {steps}")
    return list(zip(axes, starts, strict=True))


def _integers(graph: _Graph, name: str) -> list[int]:
    """Values of a constant."""
    if name not in graph.constants:
        raise ValueError(f"{name!r} is no constant")
    tensor = graph.constants[name]
    if wire_number(tensor, _TENSOR_DATA_TYPE) != _INT64:
        raise ValueError(f"{name!r} is not int64")
    for raw in wire_messages(tensor, _TENSOR_RAW):
        return [int(value) for value in np.frombuffer(raw, "<i8")]
    values = []
    for packed in wire_messages(tensor, _TENSOR_INT64S):
        at = 0
        while at < len(packed):
            value, at = wire_varint(packed, at)
            values.append(value - (1 << 64) if value >> 63 else value)
    return values


def _read(view: memoryview) -> _Graph:
    graph = _Graph()
    for part in wire_messages(view, _MODEL_GRAPH):
        for number, value in wire_fields(part):
            if not isinstance(value, memoryview):
                continue
            if number == _GRAPH_NODE:
                node = _read_node(value)
                for output in wire_messages(value, _NODE_OUTPUT):
                    graph.nodes[_decode(output)] = node
            elif number == _GRAPH_INITIALIZER:
                graph.constants[wire_text(value, _TENSOR_NAME)] = value
            elif number == _GRAPH_OUTPUT:
                graph.outputs.append(wire_text(value, _INFO_NAME))
    return graph


def _read_node(view: memoryview) -> _Node:
    attributes: dict[str, str | int | None] = {}
    for part in wire_messages(view, _NODE_ATTRIBUTE):
        text = wire_text(part, _ATTRIBUTE_TEXT)
        attributes[wire_text(part, _ATTRIBUTE_NAME)] = text or wire_number(part, _ATTRIBUTE_INT)
    return _Node(
        wire_text(view, _NODE_OP_TYPE), [_decode(name) for name in wire_messages(view, _NODE_INPUT)], attributes
    )


def _decode(view: memoryview) -> str:
    return bytes(view).decode("utf-8")
