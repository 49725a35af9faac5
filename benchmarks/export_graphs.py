"""The graphs that benchmarks/export.py times: random weights, since time does not depend on their values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.utils import Extractor

from segkd_distill.models.zoo import build_model
from segkd_export.graph.camera_frame import CameraFrame
from segkd_export.graph.graph import OUTPUTS, DeployGraph, deployable
from segkd_export.graph.to_onnx import cut_to, to_onnx
from segkd_export.precision.calibration import collect_statistics
from segkd_export.precision.int8 import find_layers, prepare, quantise, tensors_of
from segkd_export.precision.regions import split_regions

Size = tuple[int, int]


@dataclass(frozen=True)
class Graphs:
    """One network in every form.

    Attributes:
        module: the complete graph as a torch module.
        complete: uint8 frame in, uint8 labels out; its logits twin lies beside it.
        int8_cpu: the same, quantised for CPUs; None if it was not asked for.
        bare: the network alone: normalised float NCHW in, low-resolution logits out.
        full_logits: the usual way: normalised float NCHW in, logits of full size out.
    """

    module: DeployGraph
    complete: Path
    int8_cpu: Path | None
    bare: Path
    full_logits: Path


def make_frames(size: Size, count: int = 2) -> NDArray[np.uint8]:
    """Smooth frames with noise, uint8 (count, height, width, 3)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 8, 16, generator=generator) * 200
    frames = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic")
    frames = frames + torch.randn(frames.shape, generator=generator) * 8
    return frames.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def make_graphs(folder: Path, name: str, classes: int, size: Size, *, int8: bool) -> Graphs:
    """Export one network of the zoo with fresh weights."""
    torch.manual_seed(0)
    camera = CameraFrame(size)
    module = DeployGraph(deployable(build_model(name, classes).eval(), size), camera)
    example = torch.zeros(camera.frames_shape(1), dtype=torch.uint8)
    model = to_onnx(
        module, example, OUTPUTS, {"classes": str([str(index) for index in range(classes)]).replace("'", '"')}
    )
    body_input, full = _ends(model)
    extractor = Extractor(onnx.shape_inference.infer_shapes(model))
    parts = {"bare": extractor.extract_model([body_input], ["logits"])}
    parts["full_logits"] = extractor.extract_model([body_input], [full])
    found = {}
    for part, graph in {**parts, "int8-cpu": _int8_cpu(model, size) if int8 else None}.items():
        found[part] = folder / f"{name}.{classes}.{part}.onnx" if graph is not None else None
        if graph is not None:
            onnx.save(cut_to(graph, OUTPUTS[0]) if part == "int8-cpu" else graph, found[part])
    complete = folder / f"{name}.{classes}.onnx"
    onnx.save(cut_to(model, OUTPUTS[0]), complete)
    onnx.save(cut_to(model, OUTPUTS[1]), complete.with_suffix(".logits.onnx"))
    return Graphs(module, complete, found["int8-cpu"], *(_there(found[part]) for part in parts))


def _there(path: Path | None) -> Path:
    if path is None:
        raise RuntimeError("a graph was not written")
    return path


def _ends(model: Any) -> tuple[str, str]:
    """What the network reads, and what its ArgMax reads."""
    regions = split_regions(model)
    front = {name for node in regions.front for name in node.output}
    (body_input,) = {name for node in regions.body for name in node.input} & front
    (argmax,) = (node for node in regions.tail if node.op_type == "ArgMax")
    return body_input, argmax.input[0]


def _int8_cpu(model: Any, size: Size) -> Any:
    layers = find_layers(model)
    statistics = collect_statistics(model, tensors_of(model, layers), make_frames(size)[:, None])
    ranges = {name: found.limits("minmax") for name, found in statistics.items()}
    return quantise(prepare(model), "int8-cpu", ranges, layers)


def tail_model(classes: int, grid: Size, size: Size) -> bytes:
    """The end of a complete graph alone: logits in, uint8 labels out."""
    nodes = [
        helper.make_node("Resize", ["logits", "", "", "size"], ["scores"], mode="linear"),
        helper.make_node("ArgMax", ["scores"], ["best"], axis=1, keepdims=0),
        helper.make_node("Cast", ["best"], ["labels"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "tail",
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, classes, *grid])],
        [helper.make_tensor_value_info("labels", TensorProto.UINT8, [1, *size])],
        [helper.make_tensor("size", TensorProto.INT64, [4], [1, classes, *size])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def matmul_model(size: int, products: int, precision: str) -> bytes:
    """A chain of products with one constant matrix, as networks have them: float32, or between Q and DQ nodes."""
    weights = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32) / size**0.5
    constants = [numpy_helper.from_array(weights, "weights")]
    nodes, left, right = [], "x", "weights"
    if precision == "int8":
        scale = float(np.abs(weights).max()) / 127
        values = {
            "weights": np.rint(weights / scale).astype(np.int8),
            "scale": np.float32(scale),
            "step": np.float32(1 / 32),
        }
        values |= {"zero": np.int8(0), "middle": np.uint8(128)}
        constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
        nodes.append(helper.make_node("DequantizeLinear", ["weights", "scale", "zero"], ["right"]))
        right = "right"
    for index in range(products):
        if precision == "int8":
            nodes.append(helper.make_node("QuantizeLinear", [left, "step", "middle"], [f"q{index}"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"q{index}", "step", "middle"], [f"d{index}"]))
            left = f"d{index}"
        nodes.append(helper.make_node("MatMul", [left, right], [f"y{index}"]))
        left = f"y{index}"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size]) for name in ("x", left)]
    graph = helper.make_graph(nodes, "products", ends[:1], ends[1:], constants)
    content: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    ).SerializeToString()
    return content
