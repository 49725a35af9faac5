"""Each known fault, put into the export of a trained network, is named; no clean graph is accused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

from segkd.data import open_dataset
from segkd.data.readers.cityscapes import LABEL_SPACE
from segkd.data.street_scenes import write_tree
from segkd_deploy.artifact import open_artifact
from segkd_deploy.parity import Plan, validate_artifact
from segkd_distill.models.saved_model import save_model
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import build_model
from segkd_export.artifact import export_artifact
from segkd_export.graph.camera_frame import CameraFrame, CameraOptions
from segkd_export.precision.int8_search import Int8Options
from segkd_export.sources import ExportRequest
from tests.export.conftest import TINY
from tests.export.faults import (
    FAULTS,
    changed,
    export_faulty,
    framed,
    put_into,
    quantised_on,
    with_constants,
    with_resize,
)

pytestmark = pytest.mark.long

IMGSZ = (64, 128)
CAMERA = CameraOptions(frame=(120, 250), color="bgr")
STEPS = 150


class Trained(NamedTuple):
    """A trained network and its artifacts, which tests only read."""

    network: Segmenter
    artifact: Path
    camera_artifact: Path


def train(network: Segmenter, data: str) -> None:
    """Some seconds of Adam: enough for logits that mean something."""
    dataset = open_dataset(data, split="train")
    samples = [dataset.read(index) for index in range(len(dataset))]
    images = torch.stack([torch.from_numpy(sample.image).permute(2, 0, 1) for sample in samples])
    masks = torch.stack([torch.from_numpy(sample.mask) for sample in samples]).long()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    network.train()
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        batch = torch.randint(len(images), (8,), generator=generator)
        logits = network.upsample(network(images[batch]).logits, IMGSZ)
        loss = F.cross_entropy(logits, masks[batch], ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    root = tmp_path_factory.mktemp("faults")
    write_tree(root / "data", 32, 6, IMGSZ, 3)
    data = f"cityscapes:{root / 'data'}"
    torch.manual_seed(0)
    network = build_model(TINY, LABEL_SPACE.num_classes)
    train(network, data)
    save_model(root / "run", network, TINY, LABEL_SPACE, IMGSZ)
    (root / "run" / "recipe.yaml").write_text(f"schema: 1\ndata: {{train: '{data}', val: '{data}'}}\n")
    int8 = Int8Options(frames=24)
    everything = ("fp32", "fp16", "int8")
    plain = ExportRequest(root / "run", root / "plain", precisions=everything, int8=int8, reference=6, device="cpu")
    camera = ExportRequest(root / "run", root / "camera", camera=CAMERA, reference=3, device="cpu")
    return Trained(network, export_artifact(plain).folder, export_artifact(camera).folder)


@pytest.fixture(scope="module")
def clean_model(trained: Trained) -> Any:
    return export_faulty(changed(), trained.network, CameraFrame(IMGSZ))


def diagnosis(folder: Path, variant: str, *others: str, gates: dict[str, float] | None = None) -> list[dict[str, Any]]:
    plan = Plan(variants=(*others, variant), gates=gates or {})
    parts = validate_artifact(open_artifact(folder), plan)["variants"]
    assert not any(parts[other]["diagnosis"] for other in others)
    return list(parts[variant]["diagnosis"])


def test_no_clean_graph_is_accused(trained: Trained) -> None:
    for folder in (trained.artifact, trained.camera_artifact):
        result = validate_artifact(open_artifact(folder))
        assert all(not part["diagnosis"] for part in result["variants"].values()), result["variants"]
        assert result["passed"]
        assert result["variants"]["fp32"]["miou"]["source"] > 0.1, "the network has learnt something"


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named(trained: Trained, tmp_path: Path, name: str) -> None:
    make, fault = FAULTS[name]
    model = export_faulty(make, trained.network, CameraFrame(IMGSZ))
    (found,) = diagnosis(put_into(trained.artifact, tmp_path / "a", "fp32", model), "fp32")
    assert found["fault"] == fault, found
    if fault != "train_mode_batch_norm":
        assert found["after"] > 0.99 and found["after"] > found["before"]


def test_asymmetric_coordinates(trained: Trained, clean_model: Any, tmp_path: Path) -> None:
    folder = put_into(
        trained.artifact,
        tmp_path / "a",
        "fp32",
        with_resize(clean_model, -1, coordinate_transformation_mode="asymmetric"),
    )
    assert [found["fault"] for found in diagnosis(folder, "fp32")] == ["asymmetric_coordinates"]


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_nearest_with_other_rounding(trained: Trained, clean_model: Any, tmp_path: Path, rounding: str) -> None:
    model = with_resize(
        clean_model, -1, mode="nearest", nearest_mode=rounding, coordinate_transformation_mode="half_pixel"
    )
    (found,) = diagnosis(put_into(trained.artifact, tmp_path / "a", "fp32", model), "fp32")
    assert found["fault"] == "nearest_upsampling"
    assert {"floor": "rounded down", "ceil": "rounded up"}[rounding] in found["text"]


def test_aligned_corners_inside_the_network(trained: Trained, clean_model: Any, tmp_path: Path) -> None:
    model = with_resize(clean_model, 1, coordinate_transformation_mode="align_corners")
    (found,) = diagnosis(put_into(trained.artifact, tmp_path / "a", "fp32", model), "fp32")
    assert found["fault"] == "resize_mode" and "align_corners" in found["facts"]["nodes"][0]


@pytest.mark.parametrize("form", ["int8", "int8-cpu"])
@pytest.mark.parametrize(("added", "factor"), [(10.0, 1.0), (-20.0, 1.0), (5.0, 1.1)])
def test_a_normalisation_that_is_wrong_in_eight_bits_alone(
    trained: Trained, tmp_path: Path, form: str, added: float, factor: float
) -> None:
    model = with_constants(onnx.load(trained.artifact / f"model.{form}.onnx"), added, factor)
    logits = with_constants(onnx.load(trained.artifact / f"model.{form}.logits.onnx"), added, factor)
    folder = put_into(trained.artifact, tmp_path / "a", form, model, logits)
    gates = {f"{form}.agreement": 0.995}
    (found,) = diagnosis(folder, form, gates=gates)
    assert found["fault"] == "wrong_normalisation", found
    (found,) = diagnosis(folder, form, "fp32", gates=gates)
    assert found["fault"] == "wrong_normalisation", found


@pytest.mark.parametrize("form", ["int8", "int8-cpu"])
@pytest.mark.parametrize("frames", ["noise", "black"])
def test_a_calibration_on_other_pictures(
    trained: Trained, clean_model: Any, tmp_path: Path, form: str, frames: str
) -> None:
    low, high = {"noise": (90, 160), "black": (0, 12)}[frames]
    pictures = np.random.default_rng(0).integers(low, high, (4, *IMGSZ, 3)).astype(np.uint8)
    in_float = open_artifact(trained.artifact).manifest.variant(form).float_layers
    model = quantised_on(clean_model, pictures, form, in_float)
    (found,) = diagnosis(put_into(trained.artifact, tmp_path / "a", form, model), form, "fp32", "fp16")
    assert found["fault"] == "calibration" and found["facts"]["misfits"], found


@pytest.mark.parametrize("mode", ["nearest", "bicubic"])
def test_a_frame_that_is_resized_by_other_means(trained: Trained, tmp_path: Path, mode: str) -> None:
    camera = CameraFrame(IMGSZ, CAMERA, trained.network.mean.flatten().tolist())
    model = export_faulty(framed(mode), trained.network, camera)
    (found,) = diagnosis(put_into(trained.camera_artifact, tmp_path / "a", "fp32", model), "fp32")
    assert found["fault"] == "resize_mode" and mode in found["text"]
    assert found["after"] > 0.999


def test_a_camera_of_another_order(trained: Trained, tmp_path: Path) -> None:
    camera = CameraFrame(IMGSZ, CAMERA, trained.network.mean.flatten().tolist())
    model = export_faulty(changed(before=lambda image: image.flip(1)), trained.network, camera)
    (found,) = diagnosis(put_into(trained.camera_artifact, tmp_path / "a", "fp32", model), "fp32")
    assert found["fault"] == "swapped_channels" and found["after"] > 0.999
