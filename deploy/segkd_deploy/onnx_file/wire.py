"""The bytes of ONNX files as protobuf writes them: the one reader and writer of fields, and what an operator holds.

Deploy works on machines without onnx, and a session opened only to learn a shape takes seconds there.

Source: the field numbers of ``onnx.proto`` (ONNX IR 3 to 11; they never change).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

# TensorProto.DataType.
FLOAT, UINT8, INT8, INT64, FLOAT16 = 1, 2, 3, 7, 10

# onnx.proto: message and field -> number.
MODEL_IR, MODEL_PRODUCER, MODEL_GRAPH, MODEL_OPSET, MODEL_METADATA, MODEL_FUNCTION = 1, 2, 7, 8, 14, 25
FUNCTION_NODE = 7
GRAPH_NODE, GRAPH_NAME, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_SPARSE = 1, 2, 5, 11, 12, 15
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_OP_TYPE, NODE_ATTRIBUTE = 1, 2, 3, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_INT, ATTRIBUTE_TEXT, ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH = 1, 3, 4, 5, 6
ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_INT = 10, 11, 20, 2
TENSOR_TYPE, TENSOR_FLOATS, TENSOR_INT32S, TENSOR_INT64S, TENSOR_NAME, TENSOR_RAW, TENSOR_EXTERNAL = (
    2,
    4,
    5,
    7,
    8,
    9,
    13,
)
INFO_NAME, INFO_TYPE, TYPE_TENSOR, TENSOR_ELEMENT, TENSOR_SHAPE, SHAPE_DIM, DIM_VALUE = 1, 2, 1, 1, 2, 1, 1
# Of every entry of two: an operator set's domain and version, a key and its value.
FIRST, SECOND = 1, 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        number: of the field.
        start: where its value begins in the message.
        value: a varint's number; the bytes of all others.
    """

    number: int
    start: int
    value: int | memoryview


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


def fields(message: memoryview) -> Iterator[Field]:
    """Every field of a message, in the order of the file.

    Raises:
        ValueError: if it is no message, or ends inside a field.
        IndexError: if it ends inside a number.
    """
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, end = varint(message, at)
            yield Field(number, at, value)
            at = end
            continue

        if kind == _BYTES:
            size, at = varint(message, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError(f"wire type {kind}")
        if number == 0 or at + size > len(message):
            raise ValueError("it ends inside a field")
        yield Field(number, at, message[at : at + size])
        at += size


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it.

    Raises:
        ValueError: for a number of more than 64 bits.
        IndexError: if the message ends inside it.
    """
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def varints(packed: memoryview) -> Iterator[int]:
    """Numbers that follow one another, as signed 64-bit integers."""
    at = 0
    while at < len(packed):
        value, at = varint(packed, at)
        yield signed(value)


def signed(value: int) -> int:
    """A varint as the signed 64-bit integer that it stands for."""
    return value - (1 << 64) if value >> 63 else value


def messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The bytes of every field of a number."""
    for number, _, value in fields(message):
        if number == wanted and isinstance(value, memoryview):
            yield value


def number_of(message: memoryview, wanted: int) -> int | None:
    """The first varint of a number."""
    for number, _, value in fields(message):
        if number == wanted and isinstance(value, int):
            return value
    return None


def text_of(message: memoryview, wanted: int) -> str:
    """The first text of a number; empty without one."""
    for value in messages(message, wanted):
        return decoded(value)
    return ""


def decoded(value: memoryview) -> str:
    """Bytes as the UTF-8 text that they are.

    Raises:
        UnicodeDecodeError: if they are none.
    """
    return bytes(value).decode("utf-8")


def read_node(message: memoryview) -> Node:
    """An operator of a graph."""
    texts: dict[int, list[str]] = {NODE_INPUT: [], NODE_OUTPUT: [], NODE_NAME: [], NODE_OP_TYPE: []}
    attributes: dict[str, str | int] = {}
    for number, _, value in fields(message):
        if not isinstance(value, memoryview):
            continue
        if number in texts:
            texts[number].append(decoded(value))
        elif number == NODE_ATTRIBUTE:
            # Text of any kind may stand there, also what is no UTF-8.
            words = b"".join(messages(value, ATTRIBUTE_TEXT)).decode("utf-8", "replace")
            whole = number_of(value, ATTRIBUTE_INT)
            if words or whole is not None:
                attributes[text_of(value, ATTRIBUTE_NAME)] = words or signed(whole or 0)

    inputs, outputs = tuple(texts[NODE_INPUT]), tuple(texts[NODE_OUTPUT])
    return Node("".join(texts[NODE_OP_TYPE]), "".join(texts[NODE_NAME]), inputs, outputs, attributes)


def put_integer(number: int, value: int) -> bytes:
    """A field that holds a number of at least 0."""
    return _varint_bytes(number << 3 | _VARINT) + _varint_bytes(value)


def put_bytes(number: int, content: bytes) -> bytes:
    """A field that holds bytes or a message."""
    return _varint_bytes(number << 3 | _BYTES) + _varint_bytes(len(content)) + content


def put_text(number: int, text: str) -> bytes:
    """A field that holds text."""
    return put_bytes(number, text.encode())


def _varint_bytes(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
