"""Small ONNX graphs: a 4x4 convolution of stride 4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def weight(classes: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(classes, 3, 4, 4)).astype(np.float32) / 100


def expected(image: Tensor) -> Tensor:
    """What the graphs of three classes give for images (N, 3, H, W) as they see them."""
    return torch.nn.functional.conv2d(image.float(), torch.from_numpy(weight()), stride=4)


def write(path: Path, takes: str = "float", shape: Any = None, gives: str = "logits", classes: int = 3) -> Path:
    """A graph that takes ``float`` or ``float16`` (N, 3, H, W), or ``uint8`` (N, H, W, 3)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kind = {"float": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}[takes]
    nodes, image = [], "image"
    shape = shape or (["n", "h", "w", 3] if takes == "uint8" else ["n", 3, "h", "w"])
    if takes != "float":
        nodes.append(helper.make_node("Cast", [image], ["cast"], to=TensorProto.FLOAT))
        image = "cast"
    if takes == "uint8":
        nodes.append(helper.make_node("Transpose", [image], ["planes"], perm=[0, 3, 1, 2]))
        image = "planes"
    nodes.append(helper.make_node("Conv", [image, "weight"], ["scores"], strides=[4, 4]))
    outputs = [
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", "k" if gives == "any" else classes, "a", "b"])
    ]
    if gives == "labels":
        nodes.append(helper.make_node("ArgMax", ["scores"], ["labels"], axis=1, keepdims=0))
        outputs = [helper.make_tensor_value_info("labels", TensorProto.INT64, ["n", "a", "b"])]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", kind, shape)],
        outputs,
        [numpy_helper.from_array(weight(classes), "weight")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path
