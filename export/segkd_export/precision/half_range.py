"""Which nodes of a network need float32: their values pass what a half holds, or are too small for it.

onnxruntime's CPU provider computes half graphs in float32, so that no overflow shows there. The float32 graph is run on
frames instead, and every value is looked at, also sums and squares that an operator makes inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import import_extra
from segkd_export.precision.probe import open_model

# Halves end at 65504. Other frames than the reference may give values that are twice as large.
LARGEST = float(np.finfo(np.float16).max) / 2
# Below it halves lose bits.
SMALLEST = float(np.finfo(np.float16).smallest_normal)
# Operators whose result is wrong if their last input has lost bits near zero: they divide, take roots or logarithms.
_NEAR_ZERO = frozenset({"Div", "Reciprocal", "Sqrt", "Log", "Pow"})
# Operators that add squares or magnitudes inside, as a reduction of the same axes that shows the sum.
_SUMS = {"ReduceSum": "ReduceL1", "ReduceMean": "ReduceL1", "ReduceL1": "ReduceL1", "ReduceLogSum": "ReduceL1"}
_SQUARES = {"ReduceL2": "ReduceSumSquare", "ReduceSumSquare": "ReduceSumSquare"}
# Operators that normalise by a variance, or take a mean, over all axes but the first ones: how many those are.
_POOLED = frozenset({"GlobalAveragePool"})
_NORMS = frozenset({"LayerNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization"})
# What may stand between a small value and the operator that cannot bear it.
_ARITHMETIC = frozenset(
    [
        "Add",
        "Sub",
        "Mul",
        "Pow",
        "Sqrt",
        "Abs",
        "Max",
        "Min",
        "Clip",
        "Sum",
        "Exp",
        "Neg",
        "Cast",
        "Expand",
        "ReduceL1",
        "ReduceL2",
        "ReduceMean",
        "ReduceSum",
        "ReduceSumSquare",
        "Reshape",
        "Unsqueeze",
        "Squeeze",
    ]
)
_FLOAT = 1


def float_nodes(model: Any, body: list[Any], batches: Iterable[NDArray[np.uint8]]) -> list[str]:
    """Names of the nodes that must stay in float32, in the graph's order.

    Args:
        model: the float32 ``onnx.ModelProto`` with inferred shapes.
        body: its nodes that are to become half.
        batches: frames as the graph takes them.
    """
    watch = _Watch(model, body)
    seen = watch.run(batches)
    large = {value for value, sizes in seen.items() if not sizes[1] <= LARGEST}
    small = {value for value, sizes in seen.items() if sizes[0] < SMALLEST}
    large |= {name for name, values in watch.constants.items() if values.size and _peak(values) > LARGEST}
    small |= {name for name, values in watch.constants.items() if _is_small(values)}
    kept = {
        node.name
        for node in body
        if large.intersection((*node.input, *node.output, *watch.inside.get(node.name, ())))
        or (node.op_type in _NORMS and small.intersection(watch.inside.get(node.name, ())))
    }
    for node in body:
        if node.op_type in _NEAR_ZERO and (node.input[-1] in small or node.input[0] in small):
            kept |= _with_sources(node, watch, small)
    return [node.name for node in body if node.name in kept]


class _Watch:
    """The graph with the smallest and largest magnitude of every float value of its body as outputs.

    Attributes:
        constants: float constants of the graph.
        makers: value -> the node of the body that makes it.
        inside: node -> values that show what it makes inside.
    """

    def __init__(self, model: Any, body: list[Any]) -> None:
        self._onnx = import_extra("onnx", "export")
        self._model = self._onnx.ModelProto()
        self._model.CopyFrom(model)
        self._opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
        graph = model.graph
        infos = {info.name: info.type.tensor_type for info in (*graph.input, *graph.value_info, *graph.output)}
        self._ranks = {name: len(kind.shape.dim) for name, kind in infos.items()}
        self.constants = _float_constants(self._onnx, graph)
        self.makers = {name: node for node in body for name in node.output}
        floats = [name for name in self.makers if name in infos and infos[name].elem_type == _FLOAT]
        self.inside: dict[str, list[str]] = {}
        for node in body:
            for value in self._show(node):
                self.inside.setdefault(node.name, []).append(value)
        self._values = [*floats, *(value for values in self.inside.values() for value in values)]
        self._measure()

    def run(self, batches: Iterable[NDArray[np.uint8]]) -> dict[str, tuple[float, float]]:
        """Value -> smallest magnitude but zero, and largest; infinity where a value is not finite."""
        session = open_model(self._model)
        found = {value: (np.inf, 0.0) for value in self._values}
        for batch in batches:
            sizes = session.run(None, {"frames": batch})
            for index, value in enumerate(self._values):
                low, high = (float(number) for number in sizes[2 * index : 2 * index + 2])
                before = found[value]
                found[value] = (min(before[0], low), max(before[1], high if np.isfinite(high) else np.inf))
        return found

    def _show(self, node: Any) -> list[str]:
        """Add nodes that show what a node sums inside; the names of their values."""
        source, shown = node.input[0] if node.input else "", f"{node.name}.inside"
        kind = _SUMS.get(node.op_type) or _SQUARES.get(node.op_type)
        if kind is not None:
            return [self._reduce_like(node, kind, shown)]
        if node.op_type in _POOLED:
            return [self._reduce(source, list(range(2, self._ranks[source])), "ReduceL1", shown)]
        if node.op_type not in _NORMS:
            return []
        axes = self._normalised(node, self._ranks[source])
        total = self._reduce(source, axes, "ReduceSumSquare", f"{shown}.squares")
        if node.op_type == "LpNormalization":
            return [total]
        mean = self._reduce(source, axes, "ReduceMean", f"{shown}.mean")
        centred = self._add("Sub", [source, mean], f"{shown}.centred")
        squared = self._add("Mul", [centred, centred], f"{shown}.squared")
        return [total, self._reduce(squared, axes, "ReduceMean", f"{shown}.variance")]

    def _normalised(self, node: Any, rank: int) -> list[int]:
        """The axes that a normalisation works along."""
        axis = next((entry.i for entry in node.attribute if entry.name == "axis"), -1)
        if node.op_type == "LayerNormalization":
            return list(range(axis % rank, rank))
        if node.op_type == "LpNormalization":
            return [axis % rank]
        return list(range(2 if node.op_type == "InstanceNormalization" else 1, rank))

    def _reduce(self, source: str, axes: list[int], kind: str, output: str) -> str:
        if self._opset >= 18:
            axes_name = f"{output}.axes"
            tensor = self._onnx.helper.make_tensor(axes_name, self._onnx.TensorProto.INT64, [len(axes)], axes)
            self._model.graph.initializer.append(tensor)
            return self._add(kind, [source, axes_name], output)
        return self._add(kind, [source], output, axes=axes)

    def _reduce_like(self, node: Any, kind: str, output: str) -> str:
        """The axes of a node, in the form that it has them in; ReduceSum had its own form before opset 18."""
        if self._opset >= 18 or len(node.input) < 2:
            made = self._onnx.NodeProto()
            made.CopyFrom(node)
            made.op_type, made.name, made.output[0] = kind, output, output
            self._model.graph.node.append(made)
            return output
        constants = {tensor.name: tensor for tensor in self._model.graph.initializer}
        axes = [int(axis) for axis in self._onnx.numpy_helper.to_array(constants[node.input[1]])]
        return self._add(kind, [node.input[0]], output, axes=axes)

    def _measure(self) -> None:
        """Give the smallest magnitude but zero and the largest one of every value as outputs."""
        helper, kinds, graph = self._onnx.helper, self._onnx.TensorProto, self._model.graph
        for name, number in (("half_range.zero", 0.0), ("half_range.one", np.inf)):
            graph.initializer.append(helper.make_tensor(name, kinds.FLOAT, [], [number]))
        graph.ClearField("output")
        for value in self._values:
            size = self._add("Abs", [value], f"{value}.size")
            zero = self._add("Equal", [size, "half_range.zero"], f"{value}.zero")
            nonzero = self._add("Where", [zero, "half_range.one", size], f"{value}.nonzero")
            for kind, source in (("ReduceMin", nonzero), ("ReduceMax", size)):
                name = self._add(kind, [source], f"{value}.{kind}", keepdims=0)
                graph.output.append(helper.make_tensor_value_info(name, kinds.FLOAT, []))

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._model.graph.node.append(self._onnx.helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


def _with_sources(node: Any, watch: _Watch, small: set[str]) -> set[str]:
    """A node and the arithmetic that makes the small values it reads."""
    kept, open_ = {node.name}, [name for name in node.input if name in small]
    while open_:
        maker = watch.makers.get(open_.pop())
        if maker is None or maker.name in kept or maker.op_type not in (_ARITHMETIC | _NEAR_ZERO):
            continue
        kept.add(maker.name)
        open_.extend(name for name in maker.input if name in small or name in watch.makers)
    return kept


def _float_constants(onnx: Any, graph: Any) -> dict[str, NDArray[np.float32]]:
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    return {name: onnx.numpy_helper.to_array(tensor) for name, tensor in tensors.items() if tensor.data_type == _FLOAT}


def _peak(values: NDArray[np.float32]) -> float:
    return float(np.abs(values).max())


def _is_small(values: NDArray[np.float32]) -> bool:
    """Whether a constant is a single number that halves lose bits of, as an epsilon; weights may have such ones."""
    return values.size == 1 and 0 < _peak(values) < SMALLEST
