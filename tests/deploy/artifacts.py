"""A complete artifact folder of a network simple enough to know every label: the class is the strongest channel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from segkd.manifest import Manifest, hash_files, write_manifest

NAMES = ["red", "green", "blue"]
HEIGHT_PX, WIDTH_PX, COUNT = 16, 24, 3
BLOCK_PX = 8


def make_frames(count: int = COUNT, seed: int = 0) -> NDArray[np.uint8]:
    """Frames of coloured blocks with a little noise; no two channels are ever equal."""
    generator = np.random.default_rng(seed)
    classes = generator.integers(0, 3, (count, HEIGHT_PX // BLOCK_PX, WIDTH_PX // BLOCK_PX))
    classes = classes.repeat(BLOCK_PX, axis=1).repeat(BLOCK_PX, axis=2)
    frames = generator.integers(0, 100, (count, HEIGHT_PX, WIDTH_PX, 3)) + 150 * np.eye(3, dtype=np.int64)[classes]
    return frames.astype(np.uint8)


def labels_of(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return frames.argmax(axis=-1).astype(np.uint8)


def make_graph(
    *,
    labels: bool = True,
    batch: int | str = 1,
    channels: tuple[int, int, int] = (0, 1, 2),
    bias: float = 0.0,
    classes: list[str] | None = None,
) -> onnx.ModelProto:
    """The graph; ``channels`` permutes its input's channels, ``bias`` is added to the first logit."""
    kernel = np.eye(3, dtype=np.float32)[list(channels)].reshape(3, 3, 1, 1)
    constants = [
        numpy_helper.from_array(kernel, "kernel"),
        numpy_helper.from_array(np.array([bias, 0, 0], np.float32), "bias"),
    ]
    nodes = [
        helper.make_node("Cast", ["frames"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["image"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["image", "kernel", "bias"], ["logits"]),
    ]
    if labels:
        nodes.append(helper.make_node("ArgMax", ["logits"], ["best"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["best"], ["labels"], to=TensorProto.UINT8))
        output = helper.make_tensor_value_info("labels", TensorProto.UINT8, [batch, HEIGHT_PX, WIDTH_PX])
    else:
        output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 3, HEIGHT_PX, WIDTH_PX])
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, [batch, HEIGHT_PX, WIDTH_PX, 3])
    graph = helper.make_graph(nodes, "segkd", [frames], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if classes is not None:
        helper.set_model_props(model, {"classes": json.dumps(classes)})
    onnx.checker.check_model(model, full_check=True)
    return model


def make_artifact(folder: Path, *, batch: int | None = 1, twin_bias: float = 0.0, **graph: Any) -> Path:
    """Write an artifact folder whose recorded source is right whatever ``graph`` does.

    Truth is the source's label but for the first 4 columns (ignored) and a corner of the first frame (one class on).
    The teacher is the truth, with the source's labels where that is ignored.
    """
    (folder / "reference").mkdir(parents=True)
    size = "N" if batch is None else batch
    onnx.save(make_graph(batch=size, **graph), folder / "model.fp32.onnx")
    onnx.save(make_graph(labels=False, batch=size, bias=twin_bias), folder / "model.fp32.logits.onnx")
    frames = make_frames()
    student = labels_of(frames)
    truth = student.copy()
    truth[0, :4, -6:] = (truth[0, :4, -6:] + 1) % 3
    teacher = truth.copy()
    truth[:, :, :4] = 255
    ordered = np.sort(frames, axis=-1).astype(np.float16)
    arrays = {"frames": frames, "truth": truth, "student": student, "teacher": teacher}
    for name, array in {**arrays, "student_margin": ordered[..., 2] - ordered[..., 1]}.items():
        np.save(folder / "reference" / f"{name}.npy", array)
    (folder / "reference" / "ids.json").write_text(json.dumps([f"frame{i}" for i in range(COUNT)]))
    save_manifest(folder, batch)
    return folder


def save_manifest(folder: Path, batch: int | None = 1) -> None:
    """Write the manifest of what the folder holds now."""
    (folder / "manifest.json").unlink(missing_ok=True)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    hashes = hash_files(folder, names)
    reference = {name: f"reference/{name}.npy" for name in ("frames", "truth", "student", "teacher")}
    values: dict[str, Any] = {
        "schema": 1,
        "created": "2026-01-02T03:04:05+00:00",
        "segkd_version": "0.1.0",
        "source": {"run": "distilled", "model": {"name": "channels"}, "weights_sha256": "0" * 64, "fingerprint": "abc"},
        "label_space": {"names": NAMES, "palette": [[255, 0, 0], [0, 255, 0], [0, 0, 255]]},
        "input": {"name": "frames", "height_px": HEIGHT_PX, "width_px": WIDTH_PX, "batch": batch},
        "outputs": {"labels": {"name": "labels", "shape": [batch, HEIGHT_PX, WIDTH_PX]}},
        "normalisation": {"mean": [0, 0, 0], "std": [1, 1, 1]},
        "variants": {
            "fp32": {
                "file": "model.fp32.onnx",
                "logits_file": "model.fp32.logits.onnx",
                "precision": "fp32",
                "opset": 18,
                "sha256": hashes["model.fp32.onnx"],
                "bytes": (folder / "model.fp32.onnx").stat().st_size,
            }
        },
        "reference": {
            "count": COUNT,
            "files": {**reference, "margins": "reference/student_margin.npy"},
            "teacher": True,
            "ids": "reference/ids.json",
        },
        "files": hashes,
    }
    write_manifest(folder, Manifest.model_validate(values))


def change_a_byte(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
