"""Half precision inside the network; frames, normalisation, upsampling and argmax stay in float32."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import import_extra
from segkd_export.graph.exporter_errors import foreign
from segkd_export.precision.half_range import float_nodes
from segkd_export.precision.regions import Regions, in_order, split_regions

LOGITS = "logits"


def to_fp16(model: Any, batches: Iterable[NDArray[np.uint8]] = ()) -> tuple[Any, list[str]]:
    """Convert the body of a graph, but for the nodes whose values a half cannot hold.

    The body alone goes through onnxruntime's converter: it puts casts around every node that it is told to leave in
    float32. Those between two such nodes are taken out again, so that no value is rounded there.

    Args:
        model: an ``onnx.ModelProto`` in float32 that gives ``labels`` and ``logits``.
        batches: frames as the graph takes them, on which the values are looked at.

    Returns:
        A new model with the same inputs and outputs that has passed ONNX's checker with shape inference; and the names
        of the nodes of the body that stayed in float32.

    Raises:
        SegkdError: if the model has no weights before its logits, or onnxruntime cannot convert it.
    """
    onnx = import_extra("onnx", "export")
    import_extra("onnxruntime", "export")
    from onnxruntime.transformers.float16 import convert_float_to_float16

    inferred = onnx.shape_inference.infer_shapes(model)
    regions = split_regions(inferred)
    kept_float = float_nodes(inferred, regions.body, batches)
    body = _body(onnx, inferred, regions.body)
    _own_constants(body, set(kept_float))
    with foreign("onnxruntime's conversion to half precision", "leave out fp16, or use --precision int8"):
        body = convert_float_to_float16(body, keep_io_types=True, op_block_list=[], node_block_list=kept_float)
    _drop_roundings(onnx, body)
    return _joined(onnx, model, regions, body), kept_float


def _joined(onnx: Any, model: Any, regions: Regions, body: Any) -> Any:
    """The model with its body replaced."""
    outside = [*regions.front, *regions.tail]
    kept = {name for node in outside for name in node.input}
    renamed = {tensor.name: f"{tensor.name}.fp16" for tensor in body.graph.initializer if tensor.name in kept}
    for tensor in body.graph.initializer:
        tensor.name = renamed.get(tensor.name, tensor.name)
    for node in body.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]

    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    graph.ClearField("node")
    graph.node.extend([*regions.front, *in_order(body.graph.node), *regions.tail])
    initializers = [tensor for tensor in model.graph.initializer if tensor.name in kept]
    graph.ClearField("initializer")
    graph.initializer.extend([*initializers, *body.graph.initializer])
    graph.ClearField("value_info")
    with foreign("checking the fp16 graph", "leave out fp16, or use --precision int8"):
        onnx.checker.check_model(result, full_check=True)
        return onnx.shape_inference.infer_shapes(result, strict_mode=True)


def _own_constants(body: Any, kept_float: set[str]) -> None:
    """Give nodes that stay in float32 copies of constants that others share: the converter would make those half."""
    graph = body.graph
    shared = {name for node in graph.node if node.name not in kept_float for name in node.input}
    copies: dict[str, Any] = {}
    for tensor in graph.initializer:
        if tensor.name in shared:
            copies[tensor.name] = tensor
    added = set()
    for node in graph.node:
        if node.name not in kept_float:
            continue
        for index, name in enumerate(node.input):
            if name in copies:
                node.input[index] = f"{name}.float"
                added.add(name)
    for name in sorted(added):
        tensor = graph.initializer.add()
        tensor.CopyFrom(copies[name])
        tensor.name = f"{name}.float"


def _drop_roundings(onnx: Any, body: Any) -> None:
    """Take out casts to half and back, and casts that were added twice, in place."""
    graph = body.graph
    nodes = list({tuple(node.output): node for node in graph.node}.values())
    makers = {name: node for node in nodes for name in node.output}
    outputs = {info.name for info in graph.output}

    # A pair of casts gives the value before it; an output of the graph keeps its name.
    new_names: dict[str, str] = {}
    for node in nodes:
        inner = makers.get(node.input[0]) if _casts_to(node, onnx.TensorProto.FLOAT) else None
        if inner is None or not _casts_to(inner, onnx.TensorProto.FLOAT16):
            continue
        source, result = inner.input[0], node.output[0]
        if result not in outputs:
            new_names[result] = source
        elif source in makers and source not in outputs:
            new_names[source] = new_names[result] = result

    for node in nodes:
        node.input[:] = [new_names.get(name, name) for name in node.input]
        node.output[:] = [new_names.get(name, name) if not _is_gone(node, new_names) else name for name in node.output]
    nodes = [node for node in nodes if not _is_gone(node, new_names)]

    graph.ClearField("node")
    graph.node.extend(_needed(nodes, outputs))
    graph.ClearField("value_info")


def _is_gone(node: Any, new_names: dict[str, str]) -> bool:
    """Whether a cast's result was replaced by what it came from."""
    return node.op_type == "Cast" and node.output[0] in new_names


def _needed(nodes: list[Any], outputs: set[str]) -> list[Any]:
    """The nodes that outputs depend on, in their order."""
    needed, kept = set(outputs), []
    for node in reversed(in_order(nodes)):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    return kept[::-1]


def _casts_to(node: Any, kind: int) -> bool:
    return node.op_type == "Cast" and any(entry.name == "to" and entry.i == kind for entry in node.attribute)


def _body(onnx: Any, model: Any, nodes: list[Any]) -> Any:
    """The nodes as a model of its own: what it takes from the front is its input."""
    graph = model.graph
    made = {name for node in nodes for name in node.output}
    used = {name for node in nodes for name in node.input if name}
    infos = {info.name: info for info in (*graph.value_info, *graph.input, *graph.output)}
    initializers = [tensor for tensor in graph.initializer if tensor.name in used]
    constants = {tensor.name for tensor in initializers}
    # Sorted: the converter numbers its casts in this order, and the same graph must give the same bytes.
    inputs = [infos[name] for name in sorted(used - made - constants)]
    inner = [info for name, info in infos.items() if name in made and name != LOGITS]
    body = onnx.helper.make_graph(nodes, graph.name, inputs, [infos[LOGITS]], initializers, value_info=inner)
    return onnx.helper.make_model(body, opset_imports=model.opset_import, ir_version=model.ir_version)
