"""An artifact of a small network in plain ONNX: every part of its graph can be built wrongly, in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from segkd.manifest import Manifest, hash_files, write_manifest
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.parity.diagnosis.frames import scale_contrast
from segkd_deploy.reference import GAIN, as_recorded, contrast_response

HEIGHT_PX, WIDTH_PX, FRAMES, CLASSES, WIDTH = 48, 64, 3, 4, 8
MEAN, STD = (120.0, 110.0, 100.0), (60.0, 55.0, 50.0)
NAMES = ["road", "car", "tree", "sky"]
LOGITS_PX = (HEIGHT_PX // 4, WIDTH_PX // 4)
SPEC = GraphSpec(1, HEIGHT_PX, WIDTH_PX, CLASSES)


@dataclass(frozen=True)
class Build:
    """What the graph does; the defaults are right."""

    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    swapped: bool = False
    batch_statistics: bool = False
    mode: str = "linear"
    place: str = "half_pixel"
    shift: int = 0
    order: tuple[int, ...] = (0, 1, 2, 3)
    gain: float = 1.0
    quantised: tuple[float, float] | None = None
    noise: float = 0.0
    batch: int | str = 1


RIGHT = Build()


def make_frames(seed: int = 0) -> NDArray[np.uint8]:
    """Smooth colours with a little noise."""
    import cv2

    generator = np.random.default_rng(seed)
    coarse = generator.uniform(0, 255, (FRAMES, 6, 8, 3)).astype(np.float32)
    smooth = np.stack([cv2.resize(part, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC) for part in coarse])
    return np.clip(smooth + generator.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def weights() -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng(7)
    return {
        "kernel": generator.normal(0, 0.3, (WIDTH, 3, 3, 3)).astype(np.float32),
        "norm_mean": generator.normal(0, 0.3, (1, WIDTH, 1, 1)).astype(np.float32),
        "norm_std": generator.uniform(0.5, 1.5, (1, WIDTH, 1, 1)).astype(np.float32),
        "norm_bias": generator.normal(0, 0.5, (1, WIDTH, 1, 1)).astype(np.float32),
        "classifier": generator.normal(0, 1, (CLASSES, WIDTH, 1, 1)).astype(np.float32),
    }


def make_model(build: Build, output: str) -> onnx.ModelProto:
    """The graph with one output, ``labels`` or ``logits``."""
    values: dict[str, NDArray[Any]] = weights()
    values["mean"] = np.array(build.mean, np.float32).reshape(1, 3, 1, 1)
    values["std"] = np.array(build.std, np.float32).reshape(1, 3, 1, 1)
    values["classifier"] = values["classifier"][list(build.order)] * np.float32(build.gain)
    if build.noise:
        scale = np.float32(build.noise)
        values["kernel"] = values["kernel"] + scale * np.random.default_rng(1).normal(
            0, 1, values["kernel"].shape
        ).astype(np.float32)
    node = helper.make_node
    nodes = [node("Cast", ["frames"], ["floats"], to=TensorProto.FLOAT)]
    nodes.append(node("Transpose", ["floats"], ["image"], perm=[0, 3, 1, 2]))
    if build.swapped:
        values["bgr"] = np.array([2, 1, 0], np.int64)
        nodes.append(node("Gather", ["image", "bgr"], ["turned"], axis=1))
    nodes.append(node("Sub", ["turned" if build.swapped else "image", "mean"], ["centred"]))
    nodes.append(node("Div", ["centred", "std"], ["input"]))
    nodes.append(node("Conv", ["input", "kernel"], ["features"], strides=[4, 4], pads=[1, 1, 1, 1]))
    nodes += _norm(build, values)
    nodes.append(node("Relu", ["normed"], ["active"]))
    last = "active"
    if build.quantised is not None:
        low, high = build.quantised
        values["scale"] = np.array(max(-low, high) / 127, np.float32)
        values["zero"] = np.array(0, np.int8)
        nodes.append(node("QuantizeLinear", ["active", "scale", "zero"], ["codes"]))
        nodes.append(node("DequantizeLinear", ["codes", "scale", "zero"], ["rounded"]))
        last = "rounded"
    nodes.append(node("Conv", [last, "classifier"], ["logits"]))
    if output == "labels":
        nodes += _tail(build, values)
    size = build.batch
    infos = {
        "labels": (TensorProto.UINT8, [size, HEIGHT_PX, WIDTH_PX]),
        "logits": (TensorProto.FLOAT, [size, CLASSES, *LOGITS_PX]),
    }
    given = helper.make_tensor_value_info("frames", TensorProto.UINT8, [size, HEIGHT_PX, WIDTH_PX, 3])
    made = helper.make_tensor_value_info(output, *infos[output])
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "small", [given], [made], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def _norm(build: Build, values: dict[str, NDArray[Any]]) -> list[onnx.NodeProto]:
    node = helper.make_node
    if not build.batch_statistics:
        return [
            node("Sub", ["features", "norm_mean"], ["less"]),
            node("Div", ["less", "norm_std"], ["scaled"]),
            node("Add", ["scaled", "norm_bias"], ["normed"]),
        ]
    values["axes"] = np.array([0, 2, 3], np.int64)
    values["eps"] = np.array(1e-5, np.float32)
    return [
        node("ReduceMean", ["features", "axes"], ["own_mean"], keepdims=1),
        node("Sub", ["features", "own_mean"], ["less"]),
        node("Mul", ["less", "less"], ["square"]),
        node("ReduceMean", ["square", "axes"], ["own_var"], keepdims=1),
        node("Add", ["own_var", "eps"], ["safe"]),
        node("Sqrt", ["safe"], ["own_std"]),
        node("Div", ["less", "own_std"], ["scaled"]),
        node("Add", ["scaled", "norm_bias"], ["normed"]),
    ]


def _tail(build: Build, values: dict[str, NDArray[Any]]) -> list[onnx.NodeProto]:
    node = helper.make_node
    values["scales"] = np.array([1, 1, 4, 4], np.float32)
    values["step"] = np.array(build.shift, np.int64)
    options = {"mode": build.mode, "coordinate_transformation_mode": build.place, "cubic_coeff_a": -0.75}
    if build.mode == "nearest":
        options["nearest_mode"] = "floor"
    return [
        node("Resize", ["logits", "", "scales"], ["scores"], **options),
        node("ArgMax", ["scores"], ["best"], axis=1, keepdims=0),
        node("Add", ["best", "step"], ["moved"]),
        node("Cast", ["moved"], ["labels"], to=TensorProto.UINT8),
    ]


def run(model: onnx.ModelProto, frames: NDArray[Any]) -> NDArray[Any]:
    """One frame at a time; floats go in as they are."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    if frames.dtype != np.uint8:
        copied.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    session = onnxruntime.InferenceSession(copied.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"frames": frame[None]})[0] for frame in frames])


def make_artifact(
    folder: Path,
    graphs: dict[str, Build],
    *,
    source: Build = RIGHT,
    logits: bool = True,
    batch: int | None = 1,
    twins: bool = True,
    gates: dict[str, float] | None = None,
) -> Path:
    """An artifact whose variants are some graphs and whose reference speaks of another graph."""
    (folder / "reference").mkdir(parents=True)
    frames = make_frames()
    size: int | str = "N" if batch is None else batch
    for variant, build in graphs.items():
        for output, ending in (("labels", ""), ("logits", ".logits")):
            onnx.save(make_model(replace(build, batch=size), output), folder / f"model.{variant}{ending}.onnx")
    source_logits, labels = (run(make_model(source, output), frames) for output in ("logits", "labels"))
    half = run(make_model(source, "logits"), scale_contrast(frames, SPEC, MEAN, GAIN))
    truth = labels.copy()
    truth[:, :, :3] = 255
    truth[:, 5:9, 10:20] = 1
    margins = np.sort(source_logits, axis=1)
    near = (margins[:, -1] - margins[:, -2]).repeat(4, axis=1).repeat(4, axis=2)
    arrays: dict[str, NDArray[Any]] = {
        "frames": frames,
        "truth": truth,
        "student": labels,
        "margins": near.astype(np.float16),
    }
    if logits:
        arrays |= {"logits": as_recorded(source_logits), "response": contrast_response(source_logits, half)}
    for name, array in arrays.items():
        np.save(folder / "reference" / f"{name}.npy", array)
    _write_manifest(folder, list(graphs), list(arrays), batch, twins, gates or {})
    return folder


def _write_manifest(
    folder: Path, variants: list[str], arrays: list[str], batch: int | None, twins: bool, gates: dict[str, float]
) -> None:
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    hashes = hash_files(folder, names)
    values: dict[str, Any] = {
        "schema": 1,
        "created": "2026-01-02T03:04:05+00:00",
        "segkd_version": "0.1.0",
        "source": {"run": "small", "model": {"name": "small"}, "weights_sha256": "0" * 64},
        "label_space": {"names": NAMES, "palette": [[9, 9, 9], [0, 0, 200], [0, 200, 0], [90, 160, 220]]},
        "input": {"name": "frames", "height_px": HEIGHT_PX, "width_px": WIDTH_PX, "batch": batch},
        "outputs": {"labels": {"name": "labels", "shape": [batch, HEIGHT_PX, WIDTH_PX]}},
        "normalisation": {"mean": MEAN, "std": STD},
        "variants": {
            name: {
                "file": f"model.{name}.onnx",
                "logits_file": f"model.{name}.logits.onnx" if twins else None,
                "precision": name.split("-")[0],
                "opset": 18,
                "sha256": hashes[f"model.{name}.onnx"],
                "bytes": (folder / f"model.{name}.onnx").stat().st_size,
            }
            for name in variants
        },
        "reference": {
            "count": FRAMES,
            "files": {name: f"reference/{name}.npy" for name in arrays},
            "ids": [f"frame{index}" for index in range(FRAMES)],
        },
        "gates": gates,
        "files": hashes,
    }
    if batch is None:
        values["input"]["batch_range"] = [1, 4]
    write_manifest(folder, Manifest.model_validate(values))
