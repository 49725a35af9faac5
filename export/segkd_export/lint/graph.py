"""An ONNX graph as lint's rules read it: inferred types and shapes, constants, and who makes and uses each tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from segkd.errors import import_extra

ONNX_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Finding:
    """One thing that lint has to say.

    Attributes:
        severity: ``error``: it will not build or gives other labels; ``warning``: it may, or costs; ``info``: to know.
        rule: the rule's short name.
        node: name of the node or tensor; empty for the whole graph.
        operator: operator of the node; empty for a tensor.
        message: what was found.
        advice: what to do.
    """

    severity: str
    rule: str
    node: str
    operator: str
    message: str
    advice: str


class LintGraph:
    """A model with what shape inference knows of it.

    Args:
        model: an ``onnx.ModelProto``; it is not changed.
    """

    def __init__(self, model: Any) -> None:
        self.onnx = import_extra("onnx", "export")
        self.model = self._inferred(model)
        graph = self.model.graph
        self.nodes: list[Any] = list(graph.node)
        self.constants: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        for node in self.nodes:
            values = [entry.t for entry in node.attribute if entry.name == "value"]
            if node.op_type == "Constant" and values:
                self.constants[node.output[0]] = values[0]
        self.inputs: list[Any] = [info for info in graph.input if info.name not in self.constants]
        self.outputs: list[Any] = list(graph.output)
        self.functions = {(function.domain, function.name) for function in model.functions}
        infos = [*graph.input, *graph.value_info, *graph.output]
        self._types = {info.name: int(info.type.tensor_type.elem_type) for info in infos}
        self._types |= {name: int(tensor.data_type) for name, tensor in self.constants.items()}
        self._shapes = {info.name: _shape(info) for info in infos}
        self._shapes |= {name: tuple(tensor.dims) for name, tensor in self.constants.items()}

    def type_of(self, tensor: str) -> str:
        """``FLOAT``, ``UINT8``, ...; ``UNDEFINED`` where inference does not know."""
        return str(self.onnx.TensorProto.DataType.Name(self._types.get(tensor, 0)))

    def shape_of(self, tensor: str) -> tuple[int | None, ...] | None:
        """The shape, None for a free dimension; None where inference does not know."""
        return self._shapes.get(tensor)

    def tensors(self) -> Iterator[str]:
        """Every tensor with a known shape that is no constant."""
        return (name for name in self._shapes if name not in self.constants)

    def values(self, tensor: str) -> Any:
        """A constant as an array; None if it is none, or its values lie in another file."""
        constant = self.constants.get(tensor)
        if constant is None or constant.data_location == self.onnx.TensorProto.EXTERNAL:
            return None
        return self.onnx.numpy_helper.to_array(constant)

    def attribute(self, node: Any, name: str, default: Any = None) -> Any:
        """An attribute of a node as a plain value; text is decoded."""
        for entry in node.attribute:
            if entry.name == name:
                value = self.onnx.helper.get_attribute_value(entry)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def input_of(self, node: Any, index: int) -> str:
        """Name of an input; empty if the node does not have it."""
        return str(node.input[index]) if len(node.input) > index else ""

    @cached_property
    def opsets(self) -> dict[str, int]:
        """Domain -> version; the default domain is ""."""
        return {
            "" if entry.domain in ONNX_DOMAINS else entry.domain: int(entry.version)
            for entry in self.model.opset_import
        }

    @cached_property
    def users(self) -> dict[str, list[Any]]:
        """Tensor -> the nodes that read it."""
        readers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        return readers

    @cached_property
    def makers(self) -> dict[str, Any]:
        """Tensor -> the node that writes it."""
        return {name: node for node in self.nodes for name in node.output}

    def depends_on_inputs(self, tensor: str) -> bool:
        """Whether a tensor is computed from the graph's inputs, so that it cannot be folded."""
        given, seen, open_ = {info.name for info in self.inputs}, set[str](), [tensor]
        while open_:
            name = open_.pop()
            if name in given:
                return True
            if name not in seen and name in self.makers:
                open_.extend(self.makers[name].input)
            seen.add(name)
        return False

    def of(self, *operators: str) -> Iterator[Any]:
        """The nodes of some operators."""
        return (node for node in self.nodes if node.op_type in operators)

    @property
    def quantised(self) -> bool:
        """Whether it has Q/DQ nodes."""
        return any(True for _ in self.of("QuantizeLinear", "DequantizeLinear"))

    @property
    def half(self) -> bool:
        """Whether it holds half weights."""
        return any(self.type_of(name) == "FLOAT16" for name in self.constants)

    def _inferred(self, model: Any) -> Any:
        """The model with inferred shapes; without them where inference fails: for unknown operators."""
        try:
            return self.onnx.shape_inference.infer_shapes(model, data_prop=True)
        except Exception:  # onnx raises its own and protobuf's errors, for models of 2 GB as well
            return model


def found(severity: str, rule: str, node: Any, message: str, advice: str) -> Finding:
    """A finding about a node."""
    return Finding(severity, rule, node.name or (node.output[0] if node.output else ""), node.op_type, message, advice)


def _shape(info: Any) -> tuple[int | None, ...] | None:
    if not info.type.tensor_type.HasField("shape"):
        return None
    dims = info.type.tensor_type.shape.dim
    return tuple(int(dim.dim_value) if dim.HasField("dim_value") else None for dim in dims)
