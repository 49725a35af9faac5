"""What an ONNX file says of itself, read from its bytes: inputs, outputs, operators, types.

Deploy works on machines without onnx, and opening a session only to learn a shape takes seconds there. The reader walks
the protobuf wire format and skips the weights' bytes.

Source: the field numbers of ``onnx.proto`` (ONNX IR 3 to 11; they never change).
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from segkd.errors import SegkdError
from segkd.files.damage import describe_other_kind
from segkd_deploy.graph_spec import LABEL_VALUES, GraphSpec

UINT8, FLOAT16 = 2, 10
_MAX_GRAPHS = 32

# onnx.proto: message and field -> number.
_MODEL_GRAPH, _MODEL_OPSET, _MODEL_METADATA = 7, 8, 14
_MODEL_FUNCTION, _FUNCTION_NODE = 25, 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE = 1, 5, 11, 12, 15
_NODE_ATTRIBUTE, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 5, 6, 10, 11
_TENSOR_EXTERNAL, _ENTRY_KEY, _ENTRY_VALUE = 13, 1, 2
_NODE_OP_TYPE, _TENSOR_DATA_TYPE, _TENSOR_NAME = 4, 2, 8
_INFO_NAME, _INFO_TYPE, _TYPE_TENSOR, _TENSOR_ELEMENT, _TENSOR_SHAPE = 1, 2, 1, 1, 2
_SHAPE_DIM, _DIM_VALUE = 1, 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class TensorInfo:
    """An input or output: its name, ``TensorProto.DataType`` and shape, None for a dimension that is not fixed."""

    name: str
    data_type: int
    shape: tuple[int | None, ...]


@dataclass
class OnnxHeader:
    """What was read.

    Attributes:
        inputs: the graph's inputs without initializers.
        outputs: its outputs.
        op_types: operators of its nodes.
        initializer_types: ``TensorProto.DataType`` of its weights.
        opsets: domain -> version; the default domain is "".
        metadata: ``metadata_props``.
        external: the files beside it that hold tensors, as it names them.
    """

    inputs: list[TensorInfo] = field(default_factory=list)
    outputs: list[TensorInfo] = field(default_factory=list)
    op_types: set[str] = field(default_factory=set)
    initializer_types: set[int] = field(default_factory=set)
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    external: set[str] = field(default_factory=set)

    @property
    def half(self) -> bool:
        """Whether weights are half."""
        return FLOAT16 in self.initializer_types

    @property
    def quantised(self) -> bool:
        """Whether it has Q/DQ nodes."""
        return "QuantizeLinear" in self.op_types


def read_header(path: Path) -> OnnxHeader:
    """Read an ONNX file without its weights.

    Raises:
        SegkdError: if there is no such file or it is no ONNX model.
    """
    if not path.is_file():
        raise SegkdError(f"{path}: no such graph; name an ONNX file or an artifact folder")
    if (other := describe_other_kind(path)) is not None:
        raise SegkdError(f"{path} {other}")
    header = OnnxHeader()
    try:
        with path.open("rb") as file:
            # Not closed by hand: an error that is handled below still holds views of it.
            _read_model(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), header)
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise SegkdError(f"{path}: is no ONNX model ({error}); copy it or export it again") from error
    if not header.inputs or not header.outputs:
        raise SegkdError(f"{path}: is no ONNX model (it has no inputs or no outputs); export it again")
    return header


def spec_of(path: Path) -> GraphSpec:
    """The shapes of a complete graph, from its file and its metadata ``classes``, ``color``, ``yuv`` and ``content``.

    Raises:
        SegkdError: if it is no ONNX file, or does not take uint8 frames alone, (N, height, width, 3) or NV12
            (N, height * 3/2, width), and give uint8 labels first.
    """
    header = read_header(path)
    frames, labels, said = header.inputs[0], header.outputs[0], header.metadata
    color = said.get("color", "RGB")
    tail = () if color == "NV12" else (3,)
    sides = (*frames.shape[1:3], *labels.shape[1:])
    complete = (
        len(header.inputs) == 1
        and frames.data_type == labels.data_type == UINT8
        and len(frames.shape) == 3 + len(tail)
        and frames.shape[3:] == tail
        and len(labels.shape) == 3
    )
    if not complete or None in sides:
        found = ", ".join(f"{t.name} type {t.data_type} {list(t.shape)}" for t in [*header.inputs, *header.outputs])
        raise SegkdError(
            f"{path}: expected a complete graph, uint8 (N, height, width, 3) in and uint8 (N, height, width) out, "
            f"found {found}; export it with segkd export"
        )
    rows_px, width_px, *labels_px = (side for side in sides if side is not None)
    height_px = rows_px * 2 // 3 if color == "NV12" else rows_px
    return GraphSpec(
        frames.shape[0],
        height_px,
        width_px,
        LABEL_VALUES if "classes" not in said else len(json.loads(said["classes"])),
        color=color,
        yuv=said.get("yuv"),
        labels_px=None if labels_px == [height_px, width_px] else (labels_px[0], labels_px[1]),
        content_px=_content(said),
    )


def _content(said: dict[str, str]) -> tuple[int, int, int, int] | None:
    if "content" not in said:
        return None
    top, left, height, width = (int(value) for value in json.loads(said["content"]))
    return top, left, height, width


def wire_fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field number and value of each field of a message; length-delimited ones as views."""
    at = 0
    while at < len(view):
        key, at = wire_varint(view, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = wire_varint(view, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = wire_varint(view, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if number == 0 or at + size > len(view):
            raise ValueError("it ends inside a field")
        yield number, view[at : at + size]
        at += size


def wire_varint(view: memoryview, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def wire_messages(view: memoryview, wanted: int) -> Iterator[memoryview]:
    """Every length-delimited field of a number."""
    for number, value in wire_fields(view):
        if number == wanted and isinstance(value, memoryview):
            yield value


def wire_number(view: memoryview, wanted: int) -> int | None:
    """The first varint of a number."""
    for number, value in wire_fields(view):
        if number == wanted and isinstance(value, int):
            return value
    return None


def wire_text(view: memoryview, wanted: int) -> str:
    """The first text of a number; empty without one."""
    for value in wire_messages(view, wanted):
        return bytes(value).decode("utf-8")
    return ""


def _read_model(view: memoryview, header: OnnxHeader) -> None:
    for number, value in wire_fields(view):
        if not isinstance(value, memoryview):
            continue
        if number == _MODEL_GRAPH:
            _read_graph(value, header)
        elif number == _MODEL_OPSET:
            header.opsets[wire_text(value, 1)] = wire_number(value, 2) or 0
        elif number == _MODEL_FUNCTION:
            for node in wire_messages(value, _FUNCTION_NODE):
                _note_external(node, header, 0)
        elif number == _MODEL_METADATA:
            header.metadata[wire_text(value, 1)] = wire_text(value, 2)


def _read_graph(view: memoryview, header: OnnxHeader) -> None:
    weights: set[str] = set()
    for number, value in wire_fields(view):
        if not isinstance(value, memoryview):
            continue
        if number == _GRAPH_NODE:
            header.op_types.add(wire_text(value, _NODE_OP_TYPE))
            _note_external(value, header, 0)
        elif number == _GRAPH_INITIALIZER:
            header.initializer_types.add(wire_number(value, _TENSOR_DATA_TYPE) or 0)
            weights.add(wire_text(value, _TENSOR_NAME))
            _note_location(value, header)
        elif number == _GRAPH_SPARSE:
            for part in (1, 2):  # values, indices
                for tensor in wire_messages(value, part):
                    _note_location(tensor, header)
        elif number == _GRAPH_INPUT:
            header.inputs.append(_info(value))
        elif number == _GRAPH_OUTPUT:
            header.outputs.append(_info(value))
    header.inputs = [info for info in header.inputs if info.name not in weights]


def _note_external(node: memoryview, header: OnnxHeader, depth: int) -> None:
    """Note the files that a node's tensors lie in, those of graphs inside it too."""
    if depth > _MAX_GRAPHS:
        raise ValueError(f"more than {_MAX_GRAPHS} graphs inside each other")
    for attribute in wire_messages(node, _NODE_ATTRIBUTE):
        for number, value in wire_fields(attribute):
            if not isinstance(value, memoryview):
                continue
            if number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                _note_location(value, header)
            elif number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                for tensor in wire_messages(value, _GRAPH_INITIALIZER):
                    _note_location(tensor, header)
                for inner in wire_messages(value, _GRAPH_NODE):
                    _note_external(inner, header, depth + 1)


def _note_location(tensor: memoryview, header: OnnxHeader) -> None:
    for entry in wire_messages(tensor, _TENSOR_EXTERNAL):
        if wire_text(entry, _ENTRY_KEY) == "location":
            header.external.add(wire_text(entry, _ENTRY_VALUE))


def _info(view: memoryview) -> TensorInfo:
    element, shape = 0, []
    for kind in wire_messages(view, _INFO_TYPE):
        for tensor in wire_messages(kind, _TYPE_TENSOR):
            element = wire_number(tensor, _TENSOR_ELEMENT) or 0
            for dims in wire_messages(tensor, _TENSOR_SHAPE):
                shape = [wire_number(dim, _DIM_VALUE) for dim in wire_messages(dims, _SHAPE_DIM)]
    return TensorInfo(wire_text(view, _INFO_NAME), element, tuple(shape))
