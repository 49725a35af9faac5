"""NVIDIA's own parser and compiler take what export writes: every student in every variant, every teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from segkd_deploy.tensorrt.api import TensorRT, load_tensorrt
from segkd_deploy.tensorrt.engines import BuildOptions, get_engine
from segkd_distill.models.zoo import build_model
from segkd_export.graph.camera_frame import CameraFrame
from segkd_export.graph.graph import OUTPUTS, DeployGraph, deployable
from segkd_export.graph.to_onnx import cut_to, to_onnx
from segkd_export.lint.lint import lint_file
from segkd_export.precision.fp16 import to_fp16
from segkd_export.precision.int8 import find_layers, quantise, tensors_of

CLASSES = 19
STUDENTS = ("pspnet-r18", "hrnet-w18s", "deeplabv3plus-mv2", "isanet-r18")
TEACHERS = ("pspnet-r101", "hrnet-w48", "deeplabv3plus-r101", "isanet-r101", "segformer-b0")
SMALL = (64, 128)
# Neither side divides by any stride of the networks.
ODD = (90, 161)
FULL = (512, 1024)
SM = "8.9"


@pytest.fixture(scope="module")
def rtx() -> TensorRT:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this system")
    return load_tensorrt("tensorrt_rtx")


def exported(name: str, imgsz: tuple[int, int]) -> Any:
    """A network with fresh weights as an ONNX model."""
    torch.manual_seed(0)
    network = deployable(build_model(name, CLASSES).eval(), imgsz)
    frames = torch.zeros(1, *imgsz, 3, dtype=torch.uint8)
    return to_onnx(DeployGraph(network, CameraFrame(imgsz)), frames, OUTPUTS, {})


def variants(model: Any) -> Iterator[tuple[str, Any]]:
    """The model in every precision; the ranges of int8 are made up, which changes no type and no node."""
    layers = find_layers(model)
    ranges = {name: (-4.0, 4.0) for name in tensors_of(model, layers)}
    yield "fp32", model
    yield "fp16", to_fp16(model)[0]
    yield "int8", quantise(model, "int8", ranges, layers)


def compiled(model: Any, path: Path, rtx: TensorRT, outputs: Sequence[str] = OUTPUTS[:1]) -> int:
    """Compile the complete graph, or its twin as well, and hold them against lint; layers of the last."""
    layers = 0
    for output in outputs:
        path.write_bytes(cut_to(model, output).SerializeToString())
        layers = get_engine(rtx, path, BuildOptions(sm=(SM,)), sm=SM).layers
        report = lint_file(path, "rtx40", "rtx-1.7")[0]
        assert report.passed, report.findings
    return layers


@pytest.mark.long
@pytest.mark.parametrize("imgsz", [FULL, ODD], ids=["512x1024", "90x161"])
@pytest.mark.parametrize("student", STUDENTS)
def test_every_student_compiles_in_every_variant(
    student: str, imgsz: tuple[int, int], rtx: TensorRT, tmp_path: Path
) -> None:
    path, twins = tmp_path / "graph.onnx", OUTPUTS[::-1] if imgsz == ODD else OUTPUTS[:1]
    layers = {name: compiled(model, path, rtx, twins) for name, model in variants(exported(student, imgsz))}
    # Adaptive pooling as the exporter expands it has thousands of layers, and a half body adds casts alone.
    assert layers["fp32"] < 450
    assert layers["fp32"] <= layers["fp16"] <= layers["fp32"] + 8
    assert layers["int8"] > 2 * layers["fp32"]


@pytest.mark.long
@pytest.mark.parametrize("teacher", TEACHERS)
def test_every_teacher_compiles(teacher: str, rtx: TensorRT, tmp_path: Path) -> None:
    assert compiled(exported(teacher, SMALL), tmp_path / "graph.onnx", rtx) > 50


@pytest.mark.long
def test_a_small_network_compiles_for_any_batch(rtx: TensorRT, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = deployable(build_model("quickstart-mv2", 6).eval(), SMALL)
    frames = torch.zeros(2, *SMALL, 3, dtype=torch.uint8)
    model = to_onnx(DeployGraph(network, CameraFrame(SMALL)), frames, OUTPUTS, {}, batch_range=(1, 8))
    path = tmp_path / "graph.onnx"
    path.write_bytes(cut_to(model, OUTPUTS[0]).SerializeToString())
    engine = get_engine(rtx, path, BuildOptions(batches=(1, 4, 8), sm=("8.6", SM)), sm=f"8.6+{SM}")
    assert engine.layers > 50 and "batches=1-4-8" in engine.key.flags
