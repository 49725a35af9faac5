"""What an ONNX file says of itself, read from its bytes: inputs, outputs, operators, types.

The weights' bytes are skipped.
"""

from __future__ import annotations

import json
import mmap
from dataclasses import dataclass, field
from pathlib import Path

from segkd.errors import SegkdError
from segkd.files.damage import describe_other_kind
from segkd_deploy.graph_spec import LABEL_VALUES, GraphSpec
from segkd_deploy.onnx_file import wire

_MAX_GRAPHS = 32


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
        return wire.FLOAT16 in self.initializer_types

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
        and frames.data_type == labels.data_type == wire.UINT8
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


def _read_model(view: memoryview, header: OnnxHeader) -> None:
    for number, _, value in wire.fields(view):
        if not isinstance(value, memoryview):
            continue
        if number == wire.MODEL_GRAPH:
            _read_graph(value, header)
        elif number == wire.MODEL_OPSET:
            header.opsets[wire.text_of(value, wire.FIRST)] = wire.number_of(value, wire.SECOND) or 0
        elif number == wire.MODEL_FUNCTION:
            for node in wire.messages(value, wire.FUNCTION_NODE):
                _note_external(node, header, 0)
        elif number == wire.MODEL_METADATA:
            header.metadata[wire.text_of(value, wire.FIRST)] = wire.text_of(value, wire.SECOND)


def _read_graph(view: memoryview, header: OnnxHeader) -> None:
    weights: set[str] = set()
    for number, _, value in wire.fields(view):
        if not isinstance(value, memoryview):
            continue
        if number == wire.GRAPH_NODE:
            header.op_types.add(wire.text_of(value, wire.NODE_OP_TYPE))
            _note_external(value, header, 0)
        elif number == wire.GRAPH_INITIALIZER:
            header.initializer_types.add(wire.number_of(value, wire.TENSOR_TYPE) or 0)
            weights.add(wire.text_of(value, wire.TENSOR_NAME))
            _note_location(value, header)
        elif number == wire.GRAPH_SPARSE:
            for part in (wire.FIRST, wire.SECOND):  # values, indices
                for tensor in wire.messages(value, part):
                    _note_location(tensor, header)
        elif number == wire.GRAPH_INPUT:
            header.inputs.append(_info(value))
        elif number == wire.GRAPH_OUTPUT:
            header.outputs.append(_info(value))

    header.inputs = [info for info in header.inputs if info.name not in weights]


def _note_external(node: memoryview, header: OnnxHeader, depth: int) -> None:
    """Note the files that a node's tensors lie in, those of graphs inside it too."""
    if depth > _MAX_GRAPHS:
        raise ValueError(f"more than {_MAX_GRAPHS} graphs inside each other")
    for attribute in wire.messages(node, wire.NODE_ATTRIBUTE):
        for number, _, value in wire.fields(attribute):
            if not isinstance(value, memoryview):
                continue
            if number in (wire.ATTRIBUTE_TENSOR, wire.ATTRIBUTE_TENSORS):
                _note_location(value, header)
            elif number in (wire.ATTRIBUTE_GRAPH, wire.ATTRIBUTE_GRAPHS):
                for tensor in wire.messages(value, wire.GRAPH_INITIALIZER):
                    _note_location(tensor, header)
                for inner in wire.messages(value, wire.GRAPH_NODE):
                    _note_external(inner, header, depth + 1)


def _note_location(tensor: memoryview, header: OnnxHeader) -> None:
    for entry in wire.messages(tensor, wire.TENSOR_EXTERNAL):
        if wire.text_of(entry, wire.FIRST) == "location":
            header.external.add(wire.text_of(entry, wire.SECOND))


def _info(view: memoryview) -> TensorInfo:
    element, shape = 0, []
    for kind in wire.messages(view, wire.INFO_TYPE):
        for tensor in wire.messages(kind, wire.TYPE_TENSOR):
            element = wire.number_of(tensor, wire.TENSOR_ELEMENT) or 0
            for dims in wire.messages(tensor, wire.TENSOR_SHAPE):
                shape = [wire.number_of(dim, wire.DIM_VALUE) for dim in wire.messages(dims, wire.SHAPE_DIM)]
    return TensorInfo(wire.text_of(view, wire.INFO_NAME), element, tuple(shape))
