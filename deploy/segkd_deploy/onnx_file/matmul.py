"""The ONNX file of a chain of matrix products, as bytes: what the peak of a device is measured with.

It is a complete graph (uint8 frames in, uint8 labels out), so every runtime runs it unchanged. Deploy works without
onnx, so the protobuf wire format is written here; ``onnx_header`` reads it.

Source: the field numbers of ``onnx.proto`` (they never change).
"""

from __future__ import annotations

import math
import struct

from segkd.errors import unknown_name

_UINT8, _INT8, _INT64, _FLOAT, _HALF = 2, 3, 7, 1, 10
_IR_VERSION, _OPSET = 8, 17
# onnx.proto: message and field -> number.
_MODEL_IR, _MODEL_PRODUCER, _MODEL_GRAPH, _MODEL_OPSET = 1, 2, 7, 8
_GRAPH_NODE, _GRAPH_NAME, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 2, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_TYPE, _TYPE_INT = 1, 3, 20, 2
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9

# Standard deviation of a uint8 that takes every value equally often.
_SPREAD = math.sqrt((256**2 - 1) / 12)
# int8 covers so many standard deviations on each side.
_RANGE = 4.0

PRECISIONS = ("fp32", "fp16", "int8")


def matmul_graph(size: int, products: int, precision: str = "fp32", *, signed: bool = True) -> bytes:
    """A graph of ``products`` products of (size, size) matrices, 2 size^3 operations each.

    Channels 0 and 1 of the frame become matrices A and B of mean 0, scaled so that every product has the spread of A;
    the labels are the absolute values of ``A B B ... B``, rounded down. Frames should be noise.

    Args:
        size: rows and columns.
        products: how many, at least 1.
        precision: ``fp32``, ``fp16``, or ``int8``, in which every product stands between Q and DQ nodes.
        signed: for int8: A signed, as TensorRT takes it, else unsigned, as CPUs do.

    Returns:
        The ONNX file: uint8 (1, size, size, 3) in, uint8 (1, size, size) out.

    Raises:
        SegkdError: for an unknown precision.
    """
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    real = _HALF if precision == "fp16" else _FLOAT
    graph = _Graph(real)
    graph.node("Cast", ["frames"], "real", to=real)
    for name, channel, scale in (("a", 0, 1 / _SPREAD), ("b", 1, 1 / (_SPREAD * math.sqrt(size)))):
        graph.constant(f"{name}_channel", _INT64, struct.pack("<q", channel))
        graph.node("Gather", ["real", f"{name}_channel"], f"{name}_raw", axis=3)
        graph.node("Sub", [f"{name}_raw", graph.number("middle", 127.5)], f"{name}_centred")
        graph.node("Mul", [f"{name}_centred", graph.number(f"{name}_scale", scale)], f"{name}0")
    if precision == "int8":
        graph.quantise("a0", "a0_q", _RANGE, signed=signed)
        graph.quantise("b0", "b0_q", _RANGE / math.sqrt(size), signed=True)
    left, right = ("a0_q", "b0_q") if precision == "int8" else ("a0", "b0")
    for index in range(products):
        graph.node("MatMul", [left, right], f"y{index}")
        left = f"y{index}"
        if precision == "int8":
            graph.quantise(left, f"{left}_q", _RANGE, signed=signed)
            left = f"{left}_q"
    graph.node("Abs", [left], "size")
    graph.node("Cast", ["size"], "labels", to=_UINT8)
    graph.parts += [_text(_GRAPH_NAME, "matmul")]
    graph.parts += [_message(_GRAPH_INPUT, _value("frames", (1, size, size, 3)))]
    graph.parts += [_message(_GRAPH_OUTPUT, _value("labels", (1, size, size)))]
    opset = _text(1, "") + _integer(2, _OPSET)
    model = _integer(_MODEL_IR, _IR_VERSION) + _text(_MODEL_PRODUCER, "segkd")
    return model + _message(_MODEL_GRAPH, b"".join(graph.parts)) + _message(_MODEL_OPSET, opset)


def matmul_flops(size: int, products: int) -> int:
    """Operations of one call: a multiplication and an addition per element of each product."""
    return 2 * size**3 * products


class _Graph:
    """Nodes and constants as they are written."""

    def __init__(self, real: int) -> None:
        self.real = real
        self.parts: list[bytes] = []
        self._constants: set[str] = set()

    def node(self, operator: str, inputs: list[str], output: str, **integers: int) -> None:
        content = b"".join(_text(_NODE_INPUT, name) for name in inputs) + _text(_NODE_OUTPUT, output)
        content += _text(_NODE_OP, operator)
        for name, value in integers.items():
            attribute = _text(_ATTRIBUTE_NAME, name) + _integer(_ATTRIBUTE_INT, value)
            content += _message(_NODE_ATTRIBUTE, attribute + _integer(_ATTRIBUTE_TYPE, _TYPE_INT))
        self.parts.append(_message(_GRAPH_NODE, content))

    def constant(self, name: str, kind: int, raw: bytes) -> str:
        """A scalar; the first of a name counts."""
        if name not in self._constants:
            self._constants.add(name)
            tensor = _integer(_TENSOR_TYPE, kind) + _text(_TENSOR_NAME, name)
            self.parts.append(_message(_GRAPH_INITIALIZER, tensor + _bytes(_TENSOR_RAW, raw)))
        return name

    def number(self, name: str, value: float) -> str:
        return self.constant(name, self.real, struct.pack("<e" if self.real == _HALF else "<f", value))

    def quantise(self, source: str, target: str, largest: float, *, signed: bool) -> None:
        """Q and DQ: values up to ``largest`` on either side of 0."""
        scale = self.number(f"{source}_step", largest / 127)
        zero = self.constant("zero_s8", _INT8, b"\0") if signed else self.constant("zero_u8", _UINT8, b"\x80")
        self.node("QuantizeLinear", [source, scale, zero], f"{target}_whole")
        self.node("DequantizeLinear", [f"{target}_whole", scale, zero], target)


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    """A ``ValueInfoProto`` of uint8."""
    dimensions = b"".join(_message(1, _integer(1, side)) for side in shape)
    tensor = _integer(1, _UINT8) + _message(2, dimensions)
    return _text(1, name) + _message(2, _message(1, tensor))


def _varint(value: int) -> bytes:
    groups = []
    while True:
        value, group = value >> 7, value & 0x7F
        groups.append(group | (0x80 if value else 0))
        if not value:
            return bytes(groups)


def _integer(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


_message = _bytes


def _text(number: int, text: str) -> bytes:
    return _bytes(number, text.encode())
