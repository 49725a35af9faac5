"""Small graphs that each break one rule of lint, or none; two tests read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE_PX = 16


class Case(NamedTuple):
    """A graph, the rule that it breaks, and whether TensorRT-RTX 1.7 refuses it."""

    make: Callable[[], onnx.ModelProto]
    rule: str
    refused: bool


def model(
    nodes: list[Any],
    constants: dict[str, Any] | None = None,
    *,
    given: tuple[int, list[Any]] = (TensorProto.FLOAT, [1, 3, SIDE_PX, SIDE_PX]),
    taken: tuple[int, list[Any] | None] = (TensorProto.FLOAT, None),
    opset: int = 21,
    domains: tuple[str, ...] = (),
) -> onnx.ModelProto:
    """A graph from ``x`` to ``y``."""
    graph = helper.make_graph(
        nodes,
        "case",
        [helper.make_tensor_value_info("x", *given)],
        [helper.make_tensor_value_info("y", *taken)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def node(operator: str, inputs: str, output: str = "y", **attributes: Any) -> Any:
    return helper.make_node(operator, inputs.split(), [output], name=f"{operator.lower()}_{output}", **attributes)


def kernel(channels: int = 4) -> Any:
    return np.random.default_rng(0).standard_normal((channels, 3, 3, 3)).astype(np.float32)


def clean() -> onnx.ModelProto:
    nodes = [
        node("Cast", "x", "float", to=TensorProto.FLOAT),
        node("Transpose", "float", "image", perm=[0, 3, 1, 2]),
        node("Conv", "image weights", "logits", pads=[1, 1, 1, 1]),
        node("ArgMax", "logits", "best", axis=1, keepdims=0),
        node("Cast", "best", "wide", to=TensorProto.FLOAT),
        node("Cast", "wide", "y", to=TensorProto.UINT8),
    ]
    border = (TensorProto.UINT8, [1, SIDE_PX, SIDE_PX, 3]), (TensorProto.UINT8, [1, SIDE_PX, SIDE_PX])
    return model(nodes, {"weights": kernel()}, given=border[0], taken=border[1], opset=17)


def quantised(
    zero_point: int = 0, kind: type = np.int8, scale: float = 0.1, axis: int = 0, bias: bool = False, half: bool = False
) -> onnx.ModelProto:
    """One convolution in Q/DQ form."""
    float_ = np.float16 if half else np.float32
    constants: dict[str, Any] = {
        "scale": np.asarray(scale, float_),
        "zero": kind(zero_point),
        "stored": np.random.default_rng(1).integers(-9, 9, (4, 3, 3, 3)).astype(np.int8),
        "weight_scale": np.full((4, 3)[axis], 0.1, float_),
    }
    nodes = [
        node("QuantizeLinear", "x scale zero", "q"),
        node("DequantizeLinear", "q scale zero", "image"),
        node("DequantizeLinear", "stored weight_scale", "weights", axis=axis),
    ]
    if bias:
        constants |= {"bias_stored": np.ones(4, np.int32), "bias_scale": np.full(4, 0.01, np.float32)}
        nodes.append(node("DequantizeLinear", "bias_stored bias_scale", "bias", axis=0))
    nodes.append(node("Conv", "image weights bias" if bias else "image weights", "y"))
    real = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    return model(nodes, constants, given=(real, [1, 3, SIDE_PX, SIDE_PX]), taken=(real, None))


def resized(**attributes: Any) -> onnx.ModelProto:
    scales = {"scales": np.array([1, 1, 2, 2], np.float32), "roi": np.zeros(0, np.float32)}
    return model([node("Resize", "x roi scales", **attributes)], scales)


def uint8_transposed() -> onnx.ModelProto:
    nodes = [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Cast", "t", to=TensorProto.FLOAT)]
    return model(nodes, given=(TensorProto.UINT8, [1, SIDE_PX, SIDE_PX, 3]))


def per_channel() -> onnx.ModelProto:
    nodes = [node("QuantizeLinear", "x scale zero", "q", axis=1), node("DequantizeLinear", "q scale zero", axis=1)]
    return model(nodes, {"scale": np.full(3, 0.1, np.float32), "zero": np.zeros(3, np.int8)})


def named_twice() -> onnx.ModelProto:
    graph = quantised()
    for entry in graph.graph.node[:2]:
        entry.name = "same"
    return graph


def computed_axes() -> onnx.ModelProto:
    nodes = [node("Shape", "x", "s", start=0, end=1), node("ReduceMean", "x s", "y")]
    return model(nodes)


CASES: dict[str, Case] = {
    "clean": Case(clean, "", False),
    "unknown operator": Case(lambda: model([node("Det", "x")]), "operator", True),
    "integer convolution": Case(
        lambda: model(
            [node("DynamicQuantizeLinear", "x", "q"), node("Cast", "q", to=TensorProto.FLOAT)],
        ),
        "operator",
        True,
    ),
    "other domain": Case(
        lambda: model(
            [node("FusedConv", "x weights", domain="com.microsoft")], {"weights": kernel()}, domains=("com.microsoft",)
        ),
        "domain",
        True,
    ),
    "transposed uint8": Case(uint8_transposed, "uint8", True),
    "quantised": Case(quantised, "", False),
    "quantised half": Case(lambda: quantised(half=True), "", False),
    "unsigned activations": Case(lambda: quantised(128, np.uint8), "qdq-type", True),
    "zero point": Case(lambda: quantised(3), "qdq-zero-point", True),
    "int32 bias": Case(lambda: quantised(bias=True), "qdq-bias", True),
    "scale of zero": Case(lambda: quantised(scale=0), "qdq-scale", True),
    "antialiased": Case(lambda: resized(mode="linear", antialias=1), "resize", True),
    "resized": Case(lambda: resized(mode="linear", coordinate_transformation_mode="align_corners"), "", False),
    "cropped": Case(lambda: resized(coordinate_transformation_mode="tf_crop_and_resize"), "resize", True),
    "names twice": Case(named_twice, "name", True),
    "dilated pool": Case(lambda: model([node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2])]), "pool", True),
    "computed axes": Case(computed_axes, "axes", True),
    "unsigned output": Case(
        lambda: model([node("Cast", "x", to=TensorProto.UINT16)], taken=(TensorProto.UINT16, None)), "type", True
    ),
}
