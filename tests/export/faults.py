"""Faults of exported graphs, each as a change of the module that export writes."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from segkd.files import sha256_file
from segkd.folders import ArtifactFiles
from segkd.manifest import hash_files, load_manifest, write_manifest
from segkd_distill.models.network import Network
from segkd_export.graph.camera_frame import CameraFrame
from segkd_export.graph.graph import OUTPUTS, DeployGraph, deployable
from segkd_export.graph.to_onnx import cut_to, to_onnx
from segkd_export.precision.calibration import collect_statistics
from segkd_export.precision.int8 import find_layers, prepare, quantise, tensors_of


class BatchStatistics(nn.Module):
    """What a batch normalisation does in training mode, in operators that runtimes without training have."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((0, 2, 3), keepdim=True)
        var = (x - mean).square().mean((0, 2, 3), keepdim=True)
        weight, bias = (value.view(1, -1, 1, 1) for value in (self.norm.weight, self.norm.bias))
        return (x - mean) / (var + self.norm.eps).sqrt() * weight + bias


class FaultyGraph(DeployGraph):
    """A graph whose frames, logits or labels go another way."""

    def __init__(
        self,
        network: Network,
        camera: CameraFrame,
        before: Callable[[Tensor], Tensor] = lambda image: image,
        scores: Callable[[Tensor, tuple[int, int]], Tensor] | None = None,
        after: Callable[[Tensor], Tensor] = lambda labels: labels,
        frame: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(network, camera)
        self.before, self.scores, self.after, self.frame = before, scores, after, frame

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        image = self.camera.to_image(frames) if self.frame is None else self.frame(frames)
        logits = self.segmenter(self.before(image)).logits
        if self.scores is None:
            scores = self.camera.to_scores(self.segmenter, logits)
        else:
            scores = self.scores(logits, self.camera.labels_px)
        return self.after(scores.argmax(dim=1)).to(torch.float32).to(torch.uint8), logits


def normalised(mean: Any = None, std: Any = None) -> Callable[[Network, CameraFrame], nn.Module]:
    """Another mean or std."""

    def make(network: Network, camera: CameraFrame) -> nn.Module:
        for name, values in (("mean", mean), ("std", std)):
            if values is not None:
                old = getattr(network, name)
                setattr(network, name, values(old) if callable(values) else old * 0 + values)
        return FaultyGraph(network, camera)

    return make


def with_batch_statistics(network: Network, camera: CameraFrame) -> nn.Module:
    def replace(module: nn.Module) -> None:
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, BatchStatistics(child))
            else:
                replace(child)

    replace(network)
    return FaultyGraph(network, camera)


def flipped_corners(network: Network, camera: CameraFrame) -> nn.Module:
    network.align_corners = not network.align_corners
    return FaultyGraph(network, camera)


def resized(mode: str) -> Callable[[Network, CameraFrame], nn.Module]:
    """Logits upsampled in another mode."""
    return lambda network, camera: FaultyGraph(
        network, camera, scores=lambda logits, size: F.interpolate(logits, size=size, mode=mode)
    )


def framed(mode: str) -> Callable[[Network, CameraFrame], nn.Module]:
    """The camera's frame resized in another mode."""

    def make(network: Network, camera: CameraFrame) -> nn.Module:
        def frame(frames: Tensor) -> Tensor:
            image = F.interpolate(frames.to(torch.float32).permute(0, 3, 1, 2), size=camera.imgsz, mode=mode)
            return image.flip(1) if camera.color == "BGR" else image

        return FaultyGraph(network, camera, frame=frame)

    return make


def changed(**parts: Any) -> Callable[[Network, CameraFrame], nn.Module]:
    return lambda network, camera: FaultyGraph(network, camera, **parts)


# What was done -> how, and what the diagnosis must call it.
FAULTS: dict[str, tuple[Callable[[Network, CameraFrame], nn.Module], str]] = {
    "mean off by half a step": (normalised(mean=lambda old: old + 0.5), "wrong_normalisation"),
    "one std": (normalised(std=58.0), "wrong_normalisation"),
    "x / 255": (normalised(mean=0.0, std=255.0), "wrong_normalisation"),
    "an unusual mean and std": (
        normalised(mean=lambda old: old - 17.0, std=lambda old: old * 1.3),
        "wrong_normalisation",
    ),
    "channels swapped": (changed(before=lambda image: image.flip(1)), "swapped_channels"),
    "train mode": (with_batch_statistics, "train_mode_batch_norm"),
    "align_corners": (flipped_corners, "align_corners"),
    "nearest": (resized("nearest"), "nearest_upsampling"),
    "labels shifted up": (changed(after=lambda labels: labels + 1), "label_shift"),
}


def export_faulty(
    make: Callable[[Network, CameraFrame], nn.Module], network: Network, camera: CameraFrame, batch: int = 1
) -> Any:
    """The ONNX model of a faulty module."""
    fit = deployable(copy.deepcopy(network), camera.imgsz)
    module = make(fit, copy.deepcopy(camera)).eval()
    metadata = {"color": camera.color, "made": "with a fault"}
    return to_onnx(module, torch.zeros(camera.frames_shape(batch), dtype=torch.uint8), OUTPUTS, metadata)


def with_resize(model: Any, index: int, **attributes: str) -> Any:
    """A copy of a model with other attributes of one Resize, counted as in a list."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    node = [node for node in copied.graph.node if node.op_type == "Resize"][index]
    kept = [attribute for attribute in node.attribute if attribute.name not in attributes]
    del node.attribute[:]
    node.attribute.extend([*kept, *(onnx.helper.make_attribute(name, value) for name, value in attributes.items())])
    return copied


def quantised_on(model: Any, frames: NDArray[np.uint8], form: str, in_float: Collection[str] = ()) -> Any:
    """int8 with the smallest and largest values of some frames, but for some layers."""
    layers, prepared = [layer for layer in find_layers(model) if layer.name not in in_float], prepare(model)
    statistics = collect_statistics(model, tensors_of(model, layers), (frame[None] for frame in frames))
    return quantise(prepared, form, {name: found.limits("minmax") for name, found in statistics.items()}, layers)


def with_constants(model: Any, mean_added: float, std_factor: float = 1.0) -> Any:
    """A copy of a model that normalises with other numbers; all its other values stay."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    for tensor in copied.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if tensor.name.endswith("segmenter.mean"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(values + values.dtype.type(mean_added), tensor.name))
        elif tensor.name.endswith("segmenter.std"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(values * values.dtype.type(std_factor), tensor.name))
    return copied


def put_into(clean: Path, folder: Path, variant: str, model: Any, twin: Any = None) -> Path:
    """A copy of an artifact with another graph for a variant; its reference still speaks of the right network.

    Args:
        clean: the artifact.
        folder: where the copy is written.
        variant: whose graph is replaced.
        model: the graph, with both outputs if there is no twin.
        twin: the graph that gives logits.
    """
    shutil.copytree(clean, folder)
    for name in (f"model.{variant}.onnx", f"model.{variant}.logits.onnx"):
        output = OUTPUTS["logits" in name]
        onnx.save(cut_to(model if twin is None or "logits" not in name else twin, output), folder / name)
    manifest = load_manifest(folder)
    graph = folder / f"model.{variant}.onnx"
    record = manifest.variant(variant).model_copy(update={"sha256": sha256_file(graph), "bytes": graph.stat().st_size})
    files = hash_files(folder, list(manifest.files))
    (folder / ArtifactFiles.MANIFEST).unlink()
    variants = {**manifest.variants, variant: record}
    write_manifest(folder, manifest.model_copy(update={"variants": variants, "files": files}))
    return folder
