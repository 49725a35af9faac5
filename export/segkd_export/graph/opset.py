"""A graph of opset 18 in the form of opset 17, which TensorRT 8.6 (JetPack 6.0) reads.

ONNX's own converter does not go down from 18. What opset 18 changed is little: axes of reductions and of Pad became
inputs, Split may state a number instead of sizes, Resize has new attributes.
"""

from __future__ import annotations

from typing import Any

from segkd.errors import SegkdError, import_extra

OLDEST = 17
# Reductions whose axes became an input in opset 18; ReduceSum's did in 13.
REDUCTIONS = frozenset(
    [
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSumSquare",
    ]
)
_NEW_RESIZE = {"antialias": 0, "keep_aspect_ratio_policy": b"stretch"}


def to_opset_17(model: Any) -> Any:
    """A copy of a model of opset 18 in opset 17.

    Args:
        model: an ``onnx.ModelProto`` with inferred shapes of its values.

    Raises:
        SegkdError: naming the node that opset 17 cannot express.
    """
    onnx = import_extra("onnx", "export")
    result = onnx.ModelProto()
    result.CopyFrom(model)

    shapes = _shapes(onnx, model)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)

    for node in result.graph.node:
        _convert(onnx, result, node, constants, shapes)
        if not onnx.defs.has(node.op_type, OLDEST, node.domain):
            raise _refusal(node, "the operator is newer")
    for entry in result.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = OLDEST
    _drop_unused(result)

    try:
        onnx.checker.check_model(result, full_check=True)
    except Exception as error:  # onnx raises its own and protobuf's errors
        text = " ".join(str(error).split())[:200]
        raise SegkdError(f"the graph has no form in opset {OLDEST} ({text}); export it with --opset 18") from error
    return result


def _convert(onnx: Any, model: Any, node: Any, constants: dict[str, Any], shapes: dict[str, list[int]]) -> None:
    """Bring one node into its form of opset 17, in place."""
    if node.op_type in REDUCTIONS and len(node.input) > 1:
        _reduction(onnx, node, constants)
    elif node.op_type == "Split":
        _split(onnx, model, node, shapes)
    elif node.op_type == "Pad" and len(node.input) > 3 and node.input[3]:
        _pad(onnx, model, node, constants, shapes)
    elif node.op_type == "Resize":
        kept = [entry for entry in node.attribute if entry.name not in _NEW_RESIZE]
        for entry in node.attribute:
            if entry.name == "axes":
                raise _refusal(node, "it resizes some of the axes")
            if entry.name in _NEW_RESIZE and onnx.helper.get_attribute_value(entry) != _NEW_RESIZE[entry.name]:
                raise _refusal(node, f"{entry.name} is newer")
        node.ClearField("attribute")
        node.attribute.extend(kept)


def _reduction(onnx: Any, node: Any, constants: dict[str, Any]) -> None:
    name = node.input[1]
    noop = [entry for entry in node.attribute if entry.name == "noop_with_empty_axes"]
    if name and name not in constants:
        raise _refusal(node, "its axes are computed")
    values = [int(axis) for axis in constants[name]] if name else []
    if not values and any(entry.i for entry in noop):
        raise _refusal(node, "it reduces no axes")
    for entry in noop:
        node.attribute.remove(entry)
    del node.input[1:]
    if values:
        node.attribute.append(onnx.helper.make_attribute("axes", values))


def _split(onnx: Any, model: Any, node: Any, shapes: dict[str, list[int]]) -> None:
    counts = [entry for entry in node.attribute if entry.name == "num_outputs"]
    if not counts:
        return
    axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 0)
    side = shapes.get(node.input[0], [])[axis : axis + 1 or None]
    if not side or side[0] <= 0:
        raise _refusal(node, "it splits a side of unknown length")
    piece = -(-side[0] // counts[0].i)
    sizes = [piece] * (counts[0].i - 1) + [side[0] - piece * (counts[0].i - 1)]
    node.attribute.remove(counts[0])
    del node.input[1:]
    node.input.append(_constant(onnx, model, f"{node.output[0]}.sizes", sizes))


def _pad(onnx: Any, model: Any, node: Any, constants: dict[str, Any], shapes: dict[str, list[int]]) -> None:
    pads, axes = constants.get(node.input[1]), constants.get(node.input[3])
    rank = len(shapes.get(node.input[0], []))
    if pads is None or axes is None or not rank:
        raise _refusal(node, "its axes are computed")
    full = [0] * (2 * rank)
    for position, axis in enumerate(int(axis) % rank for axis in axes):
        full[axis], full[rank + axis] = int(pads[position]), int(pads[position + len(axes)])
    del node.input[3:]
    node.input[1] = _constant(onnx, model, f"{node.output[0]}.pads", full)


def _constant(onnx: Any, model: Any, name: str, values: list[int]) -> str:
    model.graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [len(values)], values))
    return name


def _shapes(onnx: Any, model: Any) -> dict[str, list[int]]:
    """Value -> its sides; 0 for one that is not known."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    infos = [*graph.input, *graph.value_info, *graph.output]
    found = {info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim] for info in infos}
    return found | {tensor.name: list(tensor.dims) for tensor in graph.initializer}


def _drop_unused(model: Any) -> None:
    """Remove the constants that were axes, and nothing reads any more."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    model.graph.ClearField("initializer")
    model.graph.initializer.extend(kept)


def _refusal(node: Any, reason: str) -> SegkdError:
    return SegkdError(
        f"{node.op_type} {node.name} has no form in opset {OLDEST} ({reason}); export it with --opset 18, for "
        "TensorRT 10 and later"
    )
