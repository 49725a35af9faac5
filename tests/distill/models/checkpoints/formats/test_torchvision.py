from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkd.recipe import StudentSection
from segkd_distill.models.checkpoints.formats.base import IMAGENET
from segkd_distill.models.checkpoints.formats.torchvision import matches_resnet
from segkd_distill.models.checkpoints.inspect import describe
from segkd_distill.models.checkpoints.reading import read_checkpoint
from segkd_distill.models.zoo import ModelConfig
from segkd_distill.student import build_student
from tests.distill.models.checkpoints.formats import foreign
from tests.distill.models.checkpoints.formats.base import check_backbone, check_network

# torchvision's classifiers are not dilated.
RESNET18 = {"depth": 18, "deep_stem": False, "strides": (1, 2, 2, 2), "dilations": (1, 1, 1, 1)}
STAGES = ((1, 16, 1, 1, 1), (6, 24, 2, 2, 1), (6, 32, 3, 2, 1), (6, 64, 4, 2, 1), (6, 96, 3, 1, 1))
STAGES = (*STAGES, (6, 160, 3, 2, 1), (6, 320, 1, 1, 1))


BACKBONES = {
    "torchvision-resnet18": ModelConfig("r18", "resnetv1c", "psp", RESNET18, {"channels": 8}),
    "torchvision-mobilenet_v2": ModelConfig("mv2", "mobilenetv2", "psp", {"stages": STAGES}, {"channels": 8}),
}


def test_deeplabv3(tmp_path: Path) -> None:
    check_network("torchvision-deeplabv3_resnet50", "torchvision-deeplabv3-r50", "torchvision", tmp_path)


def test_fcn(tmp_path: Path) -> None:
    """torchvision's fcn_resnet50: the backbone and auxiliary head of its deeplabv3_resnet50, FCNHead before it."""
    state = foreign.state_dict("torchvision-deeplabv3_resnet50")
    state = {name: value for name, value in state.items() if not name.startswith("classifier.")}
    classes = len(state["aux_classifier.4.bias"])
    state["classifier.0.weight"] = torch.randn(512, 2048, 3, 3)
    for name in ("weight", "bias", "running_mean", "running_var"):
        state[f"classifier.1.{name}"] = torch.rand(512)
    state["classifier.1.num_batches_tracked"] = torch.tensor(3)
    state["classifier.4.weight"], state["classifier.4.bias"] = torch.randn(classes, 512, 1, 1), torch.randn(classes)
    torch.save(state, tmp_path / "w.pth")
    found = read_checkpoint(tmp_path / "w.pth")
    assert (found.format, found.num_classes, found.normalisation) == ("torchvision", classes, IMAGENET)
    best = describe(found)["models"][0]
    assert (best["name"], best["fit"], best["matched"]) == ("torchvision-fcn-r50", 1.0, len(state))
    student, _ = build_student(StudentSection(model="torchvision-fcn-r50", weights=str(tmp_path / "w.pth")), classes)
    assert torch.equal(student.decode_head.conv_seg.weight, state["classifier.4.weight"])
    assert torch.equal(student.auxiliary_head.conv_seg.bias, state["aux_classifier.4.bias"])  # type: ignore[union-attr]


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones(name: str, tmp_path: Path) -> None:
    check_backbone(name, BACKBONES[name], "torchvision backbone", tmp_path)


def test_imagenets_normalisation_wins_in_cirkds_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(foreign.state_dict("torchvision-mobilenet_v2"), tmp_path / "w.pth")
    part = StudentSection(model="cirkd-deeplabv3-mv2", backbone_weights=str(tmp_path / "w.pth"))
    student, config = build_student(part, 3)
    assert (config.mean, config.std) == IMAGENET
    assert student.std.flatten().tolist() == pytest.approx([58.395, 57.12, 57.375])
    said = "images are normalised as for these weights: RGB mean 123.675 116.28 103.53, deviation 58.395 57.12 57.375"
    assert said in capsys.readouterr().err
    assert describe(read_checkpoint(tmp_path / "w.pth"))["normalisation"] == IMAGENET._asdict()


def test_a_stem_of_3x3_is_not_torchvisions() -> None:
    names = {"conv1.weight": torch.zeros(64, 3, 7, 7), "layer1.0.conv1.weight": torch.zeros(1)}
    assert matches_resnet(names)
    assert not matches_resnet({**names, "conv1.weight": torch.zeros(64, 3, 3, 3)})
    assert not matches_resnet({"conv1.weight": torch.zeros(64, 3, 7, 7)})
