"""The fp16 graph in real halves: numpy computes in them, where onnxruntime's CPU provider computes in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from segkd_distill.models.adapters.torch_module import UserModule
from segkd_export.graph.camera_frame import CameraFrame
from segkd_export.graph.graph import OUTPUTS, DeployGraph, deployable
from segkd_export.graph.to_onnx import to_onnx
from segkd_export.precision.fp16 import to_fp16
from tests.export.conftest import random_frames

IMGSZ = (16, 24)


class Between(nn.Module):
    """Two convolutions with something between them."""

    def __init__(self, scale: float, norm: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 5, 3, 1, 1)
        self.scale, self.norm = scale, norm
        self.mean, self.std, self.num_classes = (123.0, 116.0, 103.0), (58.0, 57.0, 57.0), 5

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.norm(self.first(x) * self.scale))
        return out


class ChannelNorm(nn.Module):
    def __init__(self, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        return centred / torch.sqrt((centred**2).mean(1, keepdim=True) + self.epsilon)


class UnitLength(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(x, dim=1)


class LayerNorm(nn.Module):
    def __init__(self, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x.permute(0, 2, 3, 1), (8,), eps=self.epsilon).permute(0, 3, 1, 2)


class Pooled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / x.abs().sum((2, 3), keepdim=True) * 96


class Masked(nn.Module):
    """Attention over the columns that may not look to the right."""

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.triu(torch.full((12, 12), -1e9), 1)
        weights = torch.softmax(x.transpose(2, 3) @ x / 8 + mask, dim=-1)
        return x @ weights.transpose(2, 3)


NETWORKS = {
    "hand-written norm, squares overflow": (400.0, ChannelNorm()),
    "hand-written norm, squares and epsilon underflow": (1e-5, ChannelNorm(1e-12)),
    "unit length, squares overflow": (400.0, UnitLength()),
    "unit length, squares underflow": (1e-4, UnitLength()),
    "layer norm, squares overflow": (400.0, LayerNorm()),
    "layer norm, variance underflows": (1e-4, LayerNorm(1e-12)),
    "group norm": (400.0, nn.GroupNorm(2, 8)),
    "sum over the picture": (2000.0, Pooled()),
    "mask of -1e9": (1.0, Masked()),
}


def graph_of(scale: float, norm: nn.Module, opset: int = 18) -> Any:
    network = UserModule(Between(scale, norm), "torch:test").eval()
    frames = torch.zeros(1, *IMGSZ, 3, dtype=torch.uint8)
    graph = DeployGraph(deployable(network, IMGSZ), CameraFrame(IMGSZ))
    return to_onnx(graph.eval(), frames, OUTPUTS, {}, opset=opset)


def labels_of(model: Any, frames: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.concatenate([ReferenceEvaluator(model).run(["labels"], {"frames": f[None]})[0] for f in frames])


@pytest.mark.parametrize(
    ("name", "opset"),
    [*((name, 18) for name in NETWORKS), ("hand-written norm, squares overflow", 17), ("group norm", 17)],
)
def test_real_halves_give_the_labels_of_float32(name: str, opset: int) -> None:
    model = graph_of(*NETWORKS[name], opset)
    frames = random_frames(3, 2, IMGSZ)
    half, kept = to_fp16(model, [frame[None] for frame in frames])
    expected = labels_of(model, frames)
    assert len(np.unique(expected)) >= 3
    assert kept and (labels_of(half, frames) == expected).mean() >= 0.995
    blind, _ = to_fp16(model)
    assert (labels_of(blind, frames) == expected).mean() < 0.99 or name in ("mask of -1e9", "group norm"), "no fault"
    assert {node.op_type for node in half.graph.node if node.name in kept}.isdisjoint({"Conv"})


def test_ordinary_values_stay_half(float_model: Any) -> None:
    frames = random_frames(3, 2, (60, 101))
    half, kept = to_fp16(float_model, [frame[None] for frame in frames])
    assert kept == []
    assert half.SerializeToString(deterministic=True) == to_fp16(float_model)[0].SerializeToString(deterministic=True)


def test_no_rounding_between_nodes_in_float32() -> None:
    model = graph_of(400.0, ChannelNorm())
    half, kept = to_fp16(model, [random_frames(3, 1, IMGSZ)])
    makers = {name: node for node in half.graph.node for name in node.output}
    float32 = {info.name for info in half.graph.value_info if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    assert len(kept) >= 3
    for node in half.graph.node:
        if node.op_type == "Cast" and node.output[0] in float32 and node.input[0] in makers:
            before = makers[node.input[0]]
            assert not (before.op_type == "Cast" and before.input[0] in float32), node.name
