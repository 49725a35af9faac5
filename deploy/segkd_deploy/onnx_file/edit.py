"""Changes to an ONNX file's bytes that make it answer questions: float frames in, inner values out, other ranges.

Deploy works without onnx. What is changed here needs no more than a field or two of the protobuf wire format.

Source: the field numbers of ``onnx.proto`` (ONNX IR 3 to 11; they never change), and protobuf's rule that a message
which occurs twice is merged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

UINT8, FLOAT = 2, 1

# onnx.proto: message and field -> number.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP_TYPE, _NODE_ATTRIBUTE = 1, 2, 3, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_TEXT = 1, 3, 4
_TENSOR_DATA_TYPE, _TENSOR_FLOATS, _TENSOR_INTS, _TENSOR_NAME, _TENSOR_RAW = 2, 4, 5, 8, 9
_INFO_NAME, _INFO_TYPE, _TYPE_TENSOR, _TENSOR_ELEMENT = 1, 2, 1, 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_LEVELS = {UINT8: (0, 255), 3: (-128, 127)}


@dataclass(frozen=True)
class Field:
    """A field of a message: its number and where its value lies in the file.

    Attributes:
        number: of the field.
        start: first byte of the value.
        end: behind its last byte.
        value: of a varint, else 0.
    """

    number: int
    start: int
    end: int
    value: int


@dataclass(frozen=True)
class Node:
    """An operator.

    Attributes:
        op_type: its type.
        name: its name.
        inputs: names of tensors.
        outputs: names of tensors.
        attributes: those that are text or whole numbers.
    """

    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, str | int]


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
        (self._graph,) = (part for part in self._fields(0, len(content)) if part.number == _MODEL_GRAPH)
        self.parts = list(self._fields(self._graph.start, self._graph.end))

    @classmethod
    def read(cls, path: Path) -> GraphBytes:
        """Read a file."""
        return cls(path.read_bytes())

    def nodes(self) -> list[Node]:
        """The operators, in the graph's order."""
        return [self._node(part) for part in self.parts if part.number == _GRAPH_NODE]

    def with_float_input(self) -> bytes | None:
        """The file with frames of float32 instead of uint8, for graphs that begin with a cast; None if none is uint8.

        One byte changes, so that frames may hold what no camera gives: values below 0, above 255, and fractions.
        """
        for part in self.parts:
            at = self._element(part) if part.number == _GRAPH_INPUT else None
            if at is not None and self.content[at] == UINT8:
                return self.content[:at] + bytes([FLOAT]) + self.content[at + 1 :]
        return None

    def with_outputs(self, names: Sequence[str]) -> bytes:
        """The file with some inner tensors as further outputs, behind its own."""
        infos = b"".join(_message(_GRAPH_OUTPUT, _message(_INFO_NAME, name.encode())) for name in names)
        return self.content + _message(_MODEL_GRAPH, infos)

    def quantised(self) -> list[Quantised]:
        """The activations that pass a QuantizeLinear, with what they can keep."""
        found = []
        tensors = {name: part for part in self.parts if part.number == _GRAPH_INITIALIZER if (name := self._name(part))}
        for node in self.nodes():
            if node.op_type != "QuantizeLinear" or len(node.inputs) < 3 or node.inputs[0] in tensors:
                continue
            scale, zero = (tensors.get(name) for name in node.inputs[1:3])
            if scale is None or zero is None:
                continue
            step, (code, kind) = self._scalar(scale)[0], self._scalar(zero)
            lowest, highest = _LEVELS[kind]
            low, high = (lowest - code) * step, (highest - code) * step
            found.append(Quantised(node.inputs[0], low, high, node.inputs[1], node.inputs[2], kind != UINT8))
        return found

    def _fields(self, at: int, end: int) -> Iterator[Field]:
        while at < end:
            key, at = self._varint(at)
            kind, value, start = key & 7, 0, at
            if kind == _VARINT:
                value, at = self._varint(at)
            elif kind == _BYTES:
                size, start = self._varint(at)
                at = start + size
            else:
                at += _SIZES[kind]
            yield Field(key >> 3, start, at, value)

    def _varint(self, at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = self.content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7

    def _inside(self, part: Field, number: int) -> list[Field]:
        return [field for field in self._fields(part.start, part.end) if field.number == number]

    def _text(self, part: Field) -> str:
        return self.content[part.start : part.end].decode("utf-8")

    def _name(self, part: Field) -> str:
        return "".join(self._text(field) for field in self._inside(part, _TENSOR_NAME))

    def _node(self, part: Field) -> Node:
        texts: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_NAME: [], _NODE_OP_TYPE: []}
        attributes: dict[str, str | int] = {}
        for field in self._fields(part.start, part.end):
            if field.number in texts:
                texts[field.number].append(self._text(field))
            elif field.number == _NODE_ATTRIBUTE:
                name = "".join(self._text(inner) for inner in self._inside(field, _ATTRIBUTE_NAME))
                for inner in self._fields(field.start, field.end):
                    if inner.number == _ATTRIBUTE_INT:
                        attributes[name] = inner.value
                    elif inner.number == _ATTRIBUTE_TEXT:
                        attributes[name] = self.content[inner.start : inner.end].decode("utf-8", "replace")
        inputs, outputs = tuple(texts[_NODE_INPUT]), tuple(texts[_NODE_OUTPUT])
        return Node("".join(texts[_NODE_OP_TYPE]), "".join(texts[_NODE_NAME]), inputs, outputs, attributes)

    def _element(self, info: Field) -> int | None:
        """Where the element type of an input stands."""
        for kind in self._inside(info, _INFO_TYPE):
            for tensor in self._inside(kind, _TYPE_TENSOR):
                for element in self._inside(tensor, _TENSOR_ELEMENT):
                    return element.start
        return None

    def _scalar(self, tensor: Field) -> tuple[float, int]:
        """A tensor's only value and its type."""
        (kind,) = (field.value for field in self._inside(tensor, _TENSOR_DATA_TYPE))
        for field in self._fields(tensor.start, tensor.end):
            data = self.content[field.start : field.end]
            if field.number == _TENSOR_FLOATS or (field.number == _TENSOR_RAW and kind == FLOAT):
                return struct.unpack("<f", data[:4])[0], kind
            if field.number == _TENSOR_RAW:
                return float(struct.unpack("<b" if kind != UINT8 else "<B", data[:1])[0]), kind
            if field.number == _TENSOR_INTS:
                value = field.value or self._varint(field.start)[0] if field.end > field.start else 0
                return float(value - (1 << 64) if value >> 63 else value), kind
        return 0.0, kind


def _message(number: int, content: bytes) -> bytes:
    """A field that holds bytes."""
    return _number(number << 3 | _BYTES) + _number(len(content)) + content


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
