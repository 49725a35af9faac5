from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.models.backbones.mobilenetv2_stages import CIRKD_STAGES
from segkd_distill.models.checkpoints.formats import detect
from segkd_distill.models.checkpoints.formats.base import IMAGENET
from segkd_distill.models.checkpoints.reading import read_checkpoint
from segkd_distill.models.zoo import ModelConfig
from tests.distill.models.checkpoints.formats import foreign
from tests.distill.models.checkpoints.formats.base import check_backbone

# timm dilates as CIRKD does, so its features are those of CIRKD's settings, not of open-mmlab's.
BACKBONES = {
    "timm-resnet18-deep": ModelConfig("r18", "resnetv1c", "psp", {"depth": 18, "dilate_both": True}, {"channels": 8}),
    "timm-mobilenetv2_100": ModelConfig("mv2", "mobilenetv2", "psp", {"stages": CIRKD_STAGES}, {"channels": 8}),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones(name: str, tmp_path: Path) -> None:
    check_backbone(name, BACKBONES[name], "timm backbone", tmp_path)


def test_hrnet_has_its_own_names_in_timm(tmp_path: Path) -> None:
    check_backbone("timm-hrnet_w18_small_v2", "hrnet-w18s", "HRNet backbone", tmp_path, image_px=(64, 96))


def test_classifiers_are_left_out() -> None:
    for name, dropped in (("timm-resnet18-deep", 2), ("timm-mobilenetv2_100", 8)):
        tensors = foreign.state_dict(name)
        format_ = detect(tensors)
        assert format_ is not None
        assert len(format_.translate(tensors).dropped) == dropped


def test_normalisation_is_imagenets_unless_the_config_says_otherwise(tmp_path: Path) -> None:
    torch.save(foreign.state_dict("timm-mobilenetv2_100"), tmp_path / "w.pth")
    assert read_checkpoint(tmp_path / "w.pth").normalisation == IMAGENET
    config = tmp_path / "config.json"
    for values, expected in (
        ({"pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.4, 1.0]}}, ((127.5,) * 3, (51.0, 102.0, 255.0))),
        ({"pretrained_cfg": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}}, IMAGENET),
        ({"pretrained_cfg": {}}, IMAGENET),
        ({"architectures": []}, IMAGENET),
    ):
        config.write_text(json.dumps(values))
        assert read_checkpoint(tmp_path / "w.pth").normalisation == expected
    config.write_text(json.dumps({"pretrained_cfg": {"mean": [0.5], "std": "x"}}))
    with pytest.raises(SegkdError, match=r"config\.json: pretrained_cfg: mean and std must be three numbers"):
        read_checkpoint(tmp_path / "w.pth")


def test_other_networks_of_timms_efficientnet_family_are_not_taken_for_mobilenetv2() -> None:
    names = ["conv_stem.weight", "blocks.1.0.conv_pwl.weight", "blocks.6.0.conv_pwl.weight"]
    tensors = {name: torch.zeros(1) for name in names}
    assert detect(tensors) is not None
    assert detect({**tensors, "blocks.1.0.se.conv_reduce.weight": torch.zeros(1)}) is None
