"""Half precision inside the network; frames, normalisation, upsampling and argmax stay in float32."""

from __future__ import annotations

from typing import Any

from segkd.errors import import_extra
from segkd_export.regions import in_order, split_regions

LOGITS = "logits"


def to_fp16(model: Any) -> Any:
    """Convert the body of a graph.

    The body alone goes through onnxruntime's converter: it would put casts around every node that it is told to leave
    in float32, so that the values between two of them would be rounded all the same.

    Args:
        model: an ``onnx.ModelProto`` in float32 that gives ``labels`` and ``logits``.

    Returns:
        A new model with the same inputs and outputs that has passed ONNX's checker with shape inference.

    Raises:
        SegkdError: if the model has no weights before its logits.
    """
    onnx = import_extra("onnx", "export")
    import_extra("onnxruntime", "export")
    from onnxruntime.transformers.float16 import convert_float_to_float16

    inferred = onnx.shape_inference.infer_shapes(model)
    regions = split_regions(inferred)
    body = convert_float_to_float16(_body(onnx, inferred, regions.body), keep_io_types=True, op_block_list=[])
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
    onnx.checker.check_model(result, full_check=True)
    return onnx.shape_inference.infer_shapes(result, strict_mode=True)


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
