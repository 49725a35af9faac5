"""Graphs whose labels come from low-resolution logits, with every tail that the host decoder stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def integers(name: str, values: list[int], *, raw: bool = True) -> onnx.TensorProto:
    if raw:
        return numpy_helper.from_array(np.array(values, np.int64), name)
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def tail_graph(
    grid: tuple[int, int],
    size: tuple[int, int],
    classes: int,
    *,
    coordinates: str = "half_pixel",
    batch: int | None = 1,
    window: tuple[int, int, int, int] | None = None,
    raw: bool = True,
    **resize: Any,
) -> onnx.ModelProto:
    """Logits (N, K, h, w) to uint8 labels as exported graphs end; ``window`` is top, left, height, width."""
    nodes = [
        helper.make_node(
            "Resize", ["logits", "", "", "size"], ["up"], coordinate_transformation_mode=coordinates,
            **{"mode": "linear", **resize},
        )
    ]  # fmt: skip
    constants = [integers("size", [batch, classes, *size] if batch else list(size), raw=raw)]
    if batch is None:
        nodes[0].input[3] = "sizes"
        nodes.insert(0, helper.make_node("Concat", ["shape", "size"], ["sizes"], axis=0))
        nodes.insert(0, helper.make_node("Shape", ["logits"], ["shape"], start=0, end=2))
    name, shape = "up", size
    if window is not None:
        top, left, *shape = window
        constants += [integers(f"axis{axis}", [axis], raw=raw) for axis in (2, 3)] + [integers("one", [1], raw=raw)]
        for axis, start, length in ((2, top, shape[0]), (3, left, shape[1])):
            constants += [integers(f"start{axis}", [start], raw=raw), integers(f"end{axis}", [start + length], raw=raw)]
            inputs = [name, f"start{axis}", f"end{axis}", f"axis{axis}", "one"]
            nodes.append(helper.make_node("Slice", inputs, [f"cut{axis}"]))
            name = f"cut{axis}"
    nodes += [
        helper.make_node("ArgMax", [name], ["best"], axis=1, keepdims=0),
        helper.make_node("Cast", ["best"], ["narrow"], to=TensorProto.INT32),
        helper.make_node("Cast", ["narrow"], ["labels"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "tail",
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch or "N", classes, *grid])],
        [helper.make_tensor_value_info("labels", TensorProto.UINT8, [batch or "N", *shape])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def with_network(tail: onnx.ModelProto, stride: int, seed: int = 0) -> onnx.ModelProto:
    """The same behind a random convolution: uint8 frames in, labels and logits out."""
    number, *sides = tail.graph.input[0].type.tensor_type.shape.dim
    batch, (classes, height, width) = number.dim_value or "N", (side.dim_value for side in sides)
    kernel = np.random.default_rng(seed).standard_normal((classes, 3, stride, stride)).astype(np.float32)
    kernel -= kernel.mean(axis=(1, 2, 3), keepdims=True)
    nodes = [
        helper.make_node("Cast", ["frames"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["image"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["image", "kernel"], ["logits"], strides=[stride, stride]),
    ]
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, [batch, height * stride, width * stride, 3])
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, classes, height, width])]
    labels = [dim.dim_value for dim in tail.graph.output[0].type.tensor_type.shape.dim][1:]
    outputs.append(helper.make_tensor_value_info("labels", TensorProto.UINT8, [batch, *labels]))
    constants = [*tail.graph.initializer, numpy_helper.from_array(kernel, "kernel")]
    graph = helper.make_graph([*nodes, *tail.graph.node], "segkd", [frames], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def write_pair(folder: Path, tail: onnx.ModelProto, stride: int = 4) -> Path:
    """``model.fp32.onnx`` and its logits graph."""
    model = with_network(tail, stride)
    for name, output in (("model.fp32.onnx", "labels"), ("model.fp32.logits.onnx", "logits")):
        cut = onnx.ModelProto()
        cut.CopyFrom(model)
        kept = [info for info in model.graph.output if info.name == output]
        cut.graph.ClearField("output")
        cut.graph.output.extend(kept)
        if output == "logits":
            cut.graph.ClearField("node")
            cut.graph.node.extend(list(model.graph.node)[:3])
        onnx.save(cut, folder / name)
    return folder / "model.fp32.onnx"


def noise_frames(graph: Path, count: int = 1, seed: int = 0) -> NDArray[np.uint8]:
    shape = [dim.dim_value for dim in onnx.load(graph).graph.input[0].type.tensor_type.shape.dim][1:]
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)
