"""How a complete graph turns its logits into labels, read from the graph's own nodes."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segkd.errors import SegkdError
from segkd_deploy.graph_spec import LabelResize
from segkd_deploy.onnx_file import wire
from segkd_deploy.onnx_file.wire import Node

_HEIGHT, _WIDTH = 2, 3


@dataclass
class _Graph:
    nodes: dict[str, Node] = field(default_factory=dict)
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


def _check(node: Node, allowed: dict[str, tuple[str | int | None, ...]]) -> None:
    for name, values in allowed.items():
        if node.attributes.get(name) not in values:
            raise ValueError(f"{node.op_type} has {name} {node.attributes.get(name)!r}, not {values[0]!r}")


def _sizes(graph: _Graph, node: Node) -> tuple[int, int]:
    """Height and width; where any number of frames goes, they are joined to the shape of what comes in."""
    if len(node.inputs) < 4:
        raise ValueError("Resize has scales, not sizes")
    name = node.inputs[3]
    if name in graph.nodes and graph.nodes[name].op_type == "Concat":
        name = graph.nodes[name].inputs[-1]
    *_, height, width = _integers(graph, name)
    return height, width


def _slice(graph: _Graph, node: Node) -> list[tuple[int, int]]:
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
    if wire.number_of(tensor, wire.TENSOR_TYPE) != wire.INT64:
        raise ValueError(f"{name!r} is not int64")
    for raw in wire.messages(tensor, wire.TENSOR_RAW):
        return [int(value) for value in np.frombuffer(raw, "<i8")]
    return [value for packed in wire.messages(tensor, wire.TENSOR_INT64S) for value in wire.varints(packed)]


def _read(view: memoryview) -> _Graph:
    graph = _Graph()
    for part in wire.messages(view, wire.MODEL_GRAPH):
        for number, _, value in wire.fields(part):
            if not isinstance(value, memoryview):
                continue
            if number == wire.GRAPH_NODE:
                node = wire.read_node(value)
                graph.nodes |= dict.fromkeys(node.outputs, node)
            elif number == wire.GRAPH_INITIALIZER:
                graph.constants[wire.text_of(value, wire.TENSOR_NAME)] = value
            elif number == wire.GRAPH_OUTPUT:
                graph.outputs.append(wire.text_of(value, wire.INFO_NAME))
    return graph
