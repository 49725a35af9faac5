"""Changes to an ONNX file's bytes that make it answer questions: float frames in, inner values out, other ranges.

Each needs no more than a field or two: protobuf merges a message that occurs twice.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segkd_deploy.onnx_file import wire
from segkd_deploy.onnx_file.wire import Node

_LEVELS = {wire.UINT8: (0, 255), wire.INT8: (-128, 127)}


@dataclass(frozen=True)
class Quantised:
    """An activation that the graph rounds to 8 bits.

    Attributes:
        tensor: its name.
        low: smallest value that it can keep.
        high: largest value that it can keep.
        scale: name of the initializer with the step.
        zero_point: name of the initializer with the code of zero.
        signed: whether codes are -128..127, else 0..255.
    """

    tensor: str
    low: float
    high: float
    scale: str
    zero_point: str
    signed: bool


class GraphBytes:
    """An ONNX file in memory.

    Args:
        content: the file.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        (self._graph,) = wire.messages(memoryview(content), wire.MODEL_GRAPH)

    @classmethod
    def read(cls, path: Path) -> GraphBytes:
        """Read a file."""
        return cls(path.read_bytes())

    def nodes(self) -> list[Node]:
        """The operators, in the graph's order."""
        return [wire.read_node(message) for message in wire.messages(self._graph, wire.GRAPH_NODE)]

    def with_float_input(self) -> bytes | None:
        """The file with frames of float32 instead of uint8, for graphs that begin with a cast; None if none is uint8.

        One byte changes, so that frames may hold what no camera gives: values below 0, above 255, and fractions.
        """
        way = (wire.MODEL_GRAPH, wire.GRAPH_INPUT, wire.INFO_TYPE, wire.TYPE_TENSOR, wire.TENSOR_ELEMENT)
        for at in _places(memoryview(self.content), way):
            if self.content[at] == wire.UINT8:
                return self.content[:at] + bytes([wire.FLOAT]) + self.content[at + 1 :]
        return None

    def with_outputs(self, names: Sequence[str]) -> bytes:
        """The file with some inner tensors as further outputs, behind its own."""
        infos = b"".join(wire.put_bytes(wire.GRAPH_OUTPUT, wire.put_text(wire.INFO_NAME, name)) for name in names)
        return self.content + wire.put_bytes(wire.MODEL_GRAPH, infos)

    def quantised(self) -> list[Quantised]:
        """The activations that pass a QuantizeLinear, with what they can keep."""
        constants = {
            wire.text_of(tensor, wire.TENSOR_NAME): tensor
            for tensor in wire.messages(self._graph, wire.GRAPH_INITIALIZER)
        }
        found = []
        for node in self.nodes():
            if node.op_type != "QuantizeLinear" or len(node.inputs) < 3 or node.inputs[0] in constants:
                continue
            scale, zero = (constants.get(name) for name in node.inputs[1:3])
            if scale is None or zero is None:
                continue

            step, (code, kind) = _scalar(scale)[0], _scalar(zero)
            lowest, highest = _LEVELS[kind]
            low, high = (lowest - code) * step, (highest - code) * step
            found.append(Quantised(node.inputs[0], low, high, node.inputs[1], node.inputs[2], kind != wire.UINT8))
        return found


def _places(message: memoryview, way: Sequence[int], start: int = 0) -> Iterator[int]:
    """Where the values of a field begin in the file, by the numbers of the fields that it lies in."""
    for number, at, value in wire.fields(message):
        if number == way[0] and len(way) == 1:
            yield start + at
        elif number == way[0] and isinstance(value, memoryview):
            yield from _places(value, way[1:], start + at)


def _scalar(tensor: memoryview) -> tuple[float, int]:
    """A tensor's only value and its type."""
    kind = wire.number_of(tensor, wire.TENSOR_TYPE) or 0
    for number, _, value in wire.fields(tensor):
        data = b"" if isinstance(value, int) else bytes(value)
        if number == wire.TENSOR_FLOATS or (number == wire.TENSOR_RAW and kind == wire.FLOAT):
            return struct.unpack("<f", data[:4])[0], kind
        if number == wire.TENSOR_RAW:
            return float(struct.unpack("<B" if kind == wire.UINT8 else "<b", data[:1])[0]), kind
        if number == wire.TENSOR_INT32S:
            whole = wire.signed(value) if isinstance(value, int) else next(wire.varints(value))
            return float(whole), kind
    return 0.0, kind
