"""Every precision at once, from NV12 frames in a letterbox, with one to three frames per call."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from segkd.data import open_dataset
from segkd.manifest import load_manifest, verify_files
from segkd_deploy.artifact import open_artifact
from segkd_deploy.bench.cold_start import measure_cold_start
from segkd_deploy.parity import compare_variant
from segkd_deploy.parity.whole_set import WholeSet
from segkd_deploy.runners import open_runner
from segkd_export.artifact import ExportResult, export_artifact
from segkd_export.graph.camera_frame import CameraFrame, CameraOptions
from segkd_export.reference import predict
from segkd_export.sources import ExportRequest
from segkd_export.variants import call_size
from tests.export.conftest import CAMERA, ODD_SIZE, random_network

VARIANTS = ["fp32", "fp16", "int8", "int8-cpu"]


def test_files_and_manifest(exported_all: ExportResult) -> None:
    manifest = load_manifest(exported_all.folder)
    verify_files(exported_all.folder, manifest)
    assert manifest == exported_all.manifest
    assert list(manifest.variants) == VARIANTS, "the most exact one first, whatever the order asked for"
    assert [variant.precision for variant in manifest.variants.values()] == ["fp32", "fp16", "int8", "int8"]
    assert [variant.opset for variant in manifest.variants.values()] == [18] * 4
    assert [variant.activations for variant in manifest.variants.values()] == [None, None, "s8", "u8"]
    graphs = {path.name for path in exported_all.folder.glob("*.onnx")}
    assert graphs == {f"model.{name}{twin}.onnx" for name in VARIANTS for twin in ("", ".logits")}
    ranking = json.loads((exported_all.folder / "sensitivity.json").read_text())["layers"]
    assert len(ranking) == 21 and not any(row["float"] for row in ranking)
    assert "sensitivity.json" in manifest.files


def test_the_manifest_says_what_a_runner_needs(exported_all: ExportResult) -> None:
    manifest = exported_all.manifest
    assert (manifest.input.color, manifest.input.yuv, manifest.input.layout) == ("NV12", "bt601", "NHW")
    assert (manifest.input.height_px, manifest.input.width_px) == CAMERA.frame
    assert (manifest.input.batch, manifest.input.batch_range) == (None, (1, 3))
    assert manifest.outputs.labels.shape == [None, 64, 96]
    assert manifest.geometry is not None
    assert manifest.geometry.content.left_px == 5
    calibration = manifest.calibration
    assert calibration is not None and len(calibration.ids) == 6 and len(calibration.held_out) == 3
    assert all("/data/" not in json.dumps(part) for part in calibration.model_dump().values())


def test_the_graph_alone_says_it_too(exported_all: ExportResult) -> None:
    artifact = open_artifact(exported_all.folder)
    with open_runner(artifact.graph("fp32")) as runner:
        assert runner.spec == artifact.spec()
        assert runner.spec.frames_shape(2) == (2, 96, 96) and runner.spec.labels_shape(2) == (2, 64, 96)


@pytest.mark.parametrize("variant", VARIANTS)
def test_any_number_of_frames_gives_the_same_labels(exported_all: ExportResult, variant: str) -> None:
    artifact = open_artifact(exported_all.folder)
    frames = artifact.frames()
    with open_runner(artifact.graph(variant), spec=artifact.spec(), threads=1) as runner:
        together = runner.infer(frames)
        alone = np.concatenate([runner.infer(frames[index : index + 1]) for index in range(3)])
    assert (together == alone).mean() > 0.999


@pytest.mark.parametrize(("variant", "least"), [("fp32", 0.9999), ("fp16", 0.998), ("int8", 0.93), ("int8-cpu", 0.93)])
def test_agreement_with_torch(exported_all: ExportResult, variant: str, least: float) -> None:
    artifact = open_artifact(exported_all.folder)
    reference = artifact.reference()
    with open_runner(artifact.graph(variant), spec=artifact.spec()) as runner:
        result = compare_variant(artifact, variant, reference, runner)
    assert result["agreement"] >= least
    assert result["logits_finite"] is True
    expected = predict(random_network(2), reference.frames, torch.device("cpu"), CameraFrame(ODD_SIZE, CAMERA, MEAN))
    np.testing.assert_array_equal(reference.student, expected.labels)


MEAN = (123.675, 116.28, 103.53)


def test_a_whole_data_set_is_scored_through_the_camera(exported_all: ExportResult, workshop: Path) -> None:
    """The graph's score equals that of torch on the same NV12 frames, at the size of the truth."""
    artifact = open_artifact(exported_all.folder)
    dataset = open_dataset(f"cityscapes:{workshop / 'data'}", split="val")
    with open_runner(artifact.graph("fp32"), spec=artifact.spec()) as runner:
        whole = WholeSet.score(runner, dataset, None, artifact.class_names, lambda images: None)
    assert whole.per_image.labelled.sum() == sum(
        (dataset.read_mask(index) != 255).sum() for index in range(len(dataset))
    )


def test_the_network_sees_floats_until_it_is_normalised(exported_all: ExportResult) -> None:
    """No part of the camera's side is quantised or halved: its nodes are the same in every variant."""
    fronts = []
    for name in VARIANTS:
        model = onnx.load(exported_all.folder / f"model.{name}.onnx")
        kinds = [node.op_type for node in model.graph.node]
        fronts.append(kinds[: kinds.index("Div") + 1])
        assert kinds[-5:] == ["Resize", "Slice", "ArgMax", "Cast", "Cast"]
        assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert all(front == fronts[0] for front in fronts)
    assert fronts[0][0] == "Cast"


def test_labels_of_the_graph_size(workshop: Path, tmp_path: Path) -> None:
    camera = CameraOptions(frame=(70, 90), color="bgr", resize="letterbox", labels="graph")
    request = ExportRequest(workshop / "student", tmp_path / "out", camera=camera, reference=1, with_teacher=False)
    artifact = open_artifact(export_artifact(request).folder)
    spec = artifact.spec()
    assert (spec.color, spec.labels_px, spec.content_px) == ("BGR", ODD_SIZE, (0, 12, 60, 77))
    assert (artifact.reference().truth[:, :, :12] == 255).all()
    with open_runner(artifact.graph("fp32"), spec=spec) as runner:
        assert runner.spec == spec
        result = compare_variant(artifact, "fp32", artifact.reference(), runner)
        dataset = open_dataset(f"cityscapes:{workshop / 'data'}", split="val")
        whole = WholeSet.score(runner, dataset, None, artifact.class_names, lambda images: None)
    assert result["pixels"] == 60 * 77 and result["agreement"] >= 0.9999
    assert whole.per_image.labelled.sum() == sum(
        (dataset.read_mask(index) != 255).sum() for index in range(len(dataset))
    )


def test_a_fresh_process_feeds_the_camera_too(exported_all: ExportResult) -> None:
    artifact = open_artifact(exported_all.folder)
    result = measure_cold_start(artifact.graph("int8-cpu"), artifact.spec(), threads=1, repetitions=1)
    assert result["first_infer_ms"] > 0


def test_frames_of_a_call() -> None:
    assert [call_size(batch) for batch in (1, 4, (1, 8), (1, 2), (3, 8))] == [1, 4, 2, 2, 3]
