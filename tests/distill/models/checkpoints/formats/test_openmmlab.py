from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segkd_distill.models.checkpoints.formats import detect
from segkd_distill.models.checkpoints.formats.base import IMAGENET
from segkd_distill.models.checkpoints.formats.openmmlab import meta_normalisation, preprocessor_normalisation
from segkd_distill.models.zoo import build_model


def state(model: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        return build_model(model, 3).state_dict()


@pytest.mark.parametrize("model", ["pspnet-r18", "deeplabv3plus-mv2", "isanet-r18", "hrnet-w18s", "deeplabv3-r18"])
def test_networks_keep_their_names(model: str) -> None:
    own = state(model)
    format_ = detect(own)
    assert format_ is not None and format_.name == "open-mmlab"
    found = format_.translate(own)
    assert list(found.tensors) == list(own) and found.dropped == () and found.normalisation is None


@pytest.mark.parametrize(
    ("model", "prefix", "format_name", "extra"),
    [
        ("pspnet-r18", "", "open-mmlab backbone", ["fc.weight", "fc.bias"]),
        (
            "pspnet-mv2",
            "backbone.",
            "open-mmlab backbone",
            ["backbone.conv2.conv.weight", "backbone.conv2.bn.running_mean", "head.fc.weight"],
        ),
        ("pspnet-mv2", "", "open-mmlab backbone", ["conv2.conv.weight", "conv2.bn.running_mean", "head.fc.weight"]),
        (
            "hrnet-w18s",
            "",
            "HRNet backbone",
            ["incre_modules.0.0.conv1.weight", "final_layer.0.bias", "classifier.bias"],
        ),
    ],
)
def test_imagenet_backbones_lose_their_classifier(model: str, prefix: str, format_name: str, extra: list[str]) -> None:
    backbone = {n.removeprefix("backbone."): t for n, t in state(model).items() if n.startswith("backbone.")}
    tensors = {prefix + name: tensor for name, tensor in backbone.items()} | {n: torch.zeros(1) for n in extra}
    format_ = detect(tensors)
    assert format_ is not None and format_.name == format_name
    found = format_.translate(tensors)
    assert set(found.tensors) == {f"backbone.{name}" for name in backbone}
    assert sorted(found.dropped) == sorted(extra) and found.normalisation == IMAGENET


def test_hrnets_second_convolution_is_no_classifier() -> None:
    format_ = detect({"stage2.0.branches.0.0.conv1.weight": torch.zeros(1), "transition1.0.0.weight": torch.zeros(1)})
    assert format_ is not None
    found = format_.translate({"conv2.weight": torch.zeros(1), "bn2.weight": torch.zeros(1)})
    assert list(found.tensors) == ["backbone.conv2.weight", "backbone.bn2.weight"] and found.dropped == ()


def test_a_data_preprocessors_normalisation() -> None:
    tensors = {
        "data_preprocessor.mean": torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1),
        "data_preprocessor.std": torch.tensor([4.0, 5.0, 6.0]).view(3, 1, 1),
    }
    found = preprocessor_normalisation(tensors)
    assert found is not None and found.mean == (1, 2, 3) and found.std == (4, 5, 6)
    del tensors["data_preprocessor.std"]
    assert preprocessor_normalisation(tensors) is None


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({}, None),
        ({"mmseg_version": "0.26.0"}, IMAGENET),
        ({"config": "img_norm_cfg = dict(mean=[1, 2, 3], std=[4, 5, 6], to_rgb=True)"}, ((1, 2, 3), (4, 5, 6))),
        ({"config": "img_norm_cfg = dict(mean=[1, 2, 3], std=[4, 5, 6], to_rgb=False)", "mmseg_version": "0"}, None),
        ({"config": "img_norm_cfg = dict(mean=[a], std=[4, 5, 6], to_rgb=True)"}, None),
        ({"config": "img_norm_cfg = dict(mean=[1], std=[4, 5, 6], to_rgb=True)"}, None),
    ],
)
def test_the_normalisation_of_a_configuration(meta: dict[str, str], expected: object) -> None:
    assert meta_normalisation(meta) == expected
