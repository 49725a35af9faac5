"""The ONNX file of a chain of matrix products, as bytes: what the peak of a device is measured with.

It is a complete graph (uint8 frames in, uint8 labels out), so every runtime runs it unchanged.
"""

from __future__ import annotations

import math
import struct

from segkd.errors import unknown_name
from segkd_deploy.onnx_file import wire

_IR_VERSION, _OPSET = 8, 17

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
    real = wire.FLOAT16 if precision == "fp16" else wire.FLOAT
    graph = _Graph(real)
    graph.node("Cast", ["frames"], "real", to=real)
    for name, channel, scale in (("a", 0, 1 / _SPREAD), ("b", 1, 1 / (_SPREAD * math.sqrt(size)))):
        graph.constant(f"{name}_channel", wire.INT64, struct.pack("<q", channel))
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
    graph.node("Cast", ["size"], "labels", to=wire.UINT8)
    graph.parts += [wire.put_text(wire.GRAPH_NAME, "matmul")]
    graph.parts += [wire.put_bytes(wire.GRAPH_INPUT, _value("frames", (1, size, size, 3)))]
    graph.parts += [wire.put_bytes(wire.GRAPH_OUTPUT, _value("labels", (1, size, size)))]

    opset = wire.put_text(wire.FIRST, "") + wire.put_integer(wire.SECOND, _OPSET)
    model = wire.put_integer(wire.MODEL_IR, _IR_VERSION) + wire.put_text(wire.MODEL_PRODUCER, "segkd")
    return model + wire.put_bytes(wire.MODEL_GRAPH, b"".join(graph.parts)) + wire.put_bytes(wire.MODEL_OPSET, opset)


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
        content = b"".join(wire.put_text(wire.NODE_INPUT, name) for name in inputs)
        content += wire.put_text(wire.NODE_OUTPUT, output) + wire.put_text(wire.NODE_OP_TYPE, operator)
        for name, value in integers.items():
            attribute = wire.put_text(wire.ATTRIBUTE_NAME, name) + wire.put_integer(wire.ATTRIBUTE_INT, value)
            attribute += wire.put_integer(wire.ATTRIBUTE_TYPE, wire.ATTRIBUTE_TYPE_INT)
            content += wire.put_bytes(wire.NODE_ATTRIBUTE, attribute)
        self.parts.append(wire.put_bytes(wire.GRAPH_NODE, content))

    def constant(self, name: str, kind: int, raw: bytes) -> str:
        """A scalar; the first of a name counts."""
        if name not in self._constants:
            self._constants.add(name)
            tensor = wire.put_integer(wire.TENSOR_TYPE, kind) + wire.put_text(wire.TENSOR_NAME, name)
            self.parts.append(wire.put_bytes(wire.GRAPH_INITIALIZER, tensor + wire.put_bytes(wire.TENSOR_RAW, raw)))
        return name

    def number(self, name: str, value: float) -> str:
        return self.constant(name, self.real, struct.pack("<e" if self.real == wire.FLOAT16 else "<f", value))

    def quantise(self, source: str, target: str, largest: float, *, signed: bool) -> None:
        """Q and DQ: values up to ``largest`` on either side of 0."""
        scale = self.number(f"{source}_step", largest / 127)
        zero = self.constant("zero_s8", wire.INT8, b"\0") if signed else self.constant("zero_u8", wire.UINT8, b"\x80")
        self.node("QuantizeLinear", [source, scale, zero], f"{target}_whole")
        self.node("DequantizeLinear", [f"{target}_whole", scale, zero], target)


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    """A ``ValueInfoProto`` of uint8."""
    sides = b"".join(wire.put_bytes(wire.SHAPE_DIM, wire.put_integer(wire.DIM_VALUE, side)) for side in shape)
    tensor = wire.put_integer(wire.TENSOR_ELEMENT, wire.UINT8) + wire.put_bytes(wire.TENSOR_SHAPE, sides)
    kind = wire.put_bytes(wire.TYPE_TENSOR, tensor)
    return wire.put_text(wire.INFO_NAME, name) + wire.put_bytes(wire.INFO_TYPE, kind)
