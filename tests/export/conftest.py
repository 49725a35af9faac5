"""A tiny run, its teacher and a Cityscapes tree of a few frames; one artifact that several tests read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from segkd.data.readers.cityscapes import LABEL_SPACE
from segkd_distill.models.saved_model import save_model
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import ModelConfig, build_model
from segkd_export.artifact import ExportResult, export_artifact
from segkd_export.graph.camera_frame import CameraFrame, CameraOptions
from segkd_export.graph.graph import OUTPUTS, DeployGraph, deployable
from segkd_export.graph.to_onnx import to_onnx
from segkd_export.precision.int8_search import Int8Options
from segkd_export.sources import ExportRequest

# Neither side divides by the network's stride of 8, nor the grid of 8 x 13 cells by 3 or 6.
ODD_SIZE = (60, 101)
TINY = ModelConfig(
    "tiny",
    "resnetv1c",
    "psp",
    {
        "depth": 18,
        "blocks": (1, 1, 1, 1),
        "widths": (8, 8, 8, 16),
        "stem": (8,),
        "stem_pool": True,
        "strides": (1, 2, 1, 1),
        "dilations": (1, 1, 1, 1),
    },
    {"channels": 8, "pool_sizes": (1, 2, 3, 6)},
    auxiliary_channels=8,
)


def random_network(seed: int) -> Segmenter:
    """A tiny network in eval mode with weights and BN statistics that make varied labels."""
    torch.manual_seed(seed)
    network = build_model(TINY, LABEL_SPACE.num_classes)
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.5, 0.5),
            ):
                assert values is not None
                values.uniform_(low, high, generator=generator)
    nn.init.normal_(network.decode_head.conv_seg.weight, generator=generator)
    return network.eval()


def random_frames(seed: int, count: int, imgsz: tuple[int, int]) -> NDArray[np.uint8]:
    """Frames of coarse random patches, uint8 RGB (count, height, width, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 9, 11, 3), dtype=np.uint8)
    resized = [cv2.resize(image, (imgsz[1], imgsz[0]), interpolation=cv2.INTER_CUBIC) for image in coarse]
    return np.stack(resized)


def write_scenes(root: Path, count: int, imgsz: tuple[int, int], split: str = "val", seed: int = 5) -> None:
    """A split of a Cityscapes tree of random frames with random labels."""
    frames = random_frames(seed, count, imgsz)
    labels = np.random.default_rng(seed + 1).integers(0, 34, (count, *imgsz), dtype=np.uint8)
    for folder in ("leftImg8bit", "gtFine"):
        (root / folder / split / "city").mkdir(parents=True)
    for index in range(count):
        name = f"city_{index:06d}_000000"
        cv2.imwrite(str(root / f"leftImg8bit/{split}/city" / f"{name}_leftImg8bit.png"), frames[index][..., ::-1])
        cv2.imwrite(str(root / f"gtFine/{split}/city" / f"{name}_gtFine_labelIds.png"), labels[index])


def write_run(folder: Path, seed: int, recipe: str = "") -> Path:
    """A run folder with a tiny network and, if given, a recipe."""
    save_model(folder, random_network(seed), TINY, LABEL_SPACE, ODD_SIZE)
    if recipe:
        (folder / "recipe.yaml").write_text(recipe)
    return folder


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data``, ``teacher`` and ``student``, whose recipe names both."""
    root = tmp_path_factory.mktemp("workshop")
    write_scenes(root / "data", 5, ODD_SIZE)
    write_scenes(root / "data", 12, ODD_SIZE, "train", 50)
    write_run(root / "teacher", 1)
    data = f"'cityscapes:{root}/data'"
    recipe = f"schema: 1\ndata: {{train: {data}, val: {data}}}\nteacher: {{model: '{root}/teacher'}}\n"
    write_run(root / "student", 2, recipe)
    return root


@pytest.fixture(scope="session")
def exported(workshop: Path) -> ExportResult:
    """The student's artifact at an odd size, with three reference frames; tests only read it."""
    return export_artifact(ExportRequest(workshop / "student", out=workshop / "artifact", reference=3, device="cpu"))


@pytest.fixture(scope="session")
def float_model() -> Any:
    """The student's graph in float32 with labels and logits, at an odd size, one frame per call; tests only read it."""
    graph = DeployGraph(deployable(random_network(2), ODD_SIZE), CameraFrame(ODD_SIZE))
    return to_onnx(graph, torch.zeros(1, *ODD_SIZE, 3, dtype=torch.uint8), OUTPUTS, {"made": "by a test"})


# The network sees 60 x 101: the frame fills 60 x 90 of it, 5 columns from the left.
CAMERA = CameraOptions(frame=(64, 96), color="nv12", yuv="bt601", resize="letterbox", labels="frame")


@pytest.fixture(scope="session")
def exported_all(workshop: Path) -> ExportResult:
    """Every precision, from NV12 frames in a letterbox, one to three of them per call; tests only read it."""
    return export_artifact(
        ExportRequest(
            workshop / "student",
            out=workshop / "artifact-all",
            precisions=("int8", "fp16", "fp32"),
            batch=(1, 3),
            camera=CAMERA,
            int8=Int8Options(frames=6, method="minmax", sensitivity=True, min_agreement=0.0),
            reference=3,
            device="cpu",
        )
    )
