from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.models.catalogue.flops import count_flops
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import MODELS, ModelConfig, build_model

NAMES = {
    "pspnet-r18": {
        "backbone.stem.0.weight": (32, 3, 3, 3),
        "backbone.stem.7.running_var": (64,),
        "backbone.layer1.0.conv1.weight": (64, 64, 3, 3),
        "backbone.layer4.0.downsample.0.weight": (512, 256, 1, 1),
        "backbone.layer4.0.downsample.1.bias": (512,),
        "decode_head.psp_modules.0.1.conv.weight": (128, 512, 1, 1),
        "decode_head.psp_modules.3.1.bn.running_mean": (128,),
        "decode_head.bottleneck.conv.weight": (128, 1024, 3, 3),
        "decode_head.conv_seg.weight": (19, 128, 1, 1),
        "auxiliary_head.convs.0.conv.weight": (64, 256, 3, 3),
        "auxiliary_head.conv_seg.bias": (19,),
    },
    "pspnet-r50": {
        "backbone.layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "backbone.layer3.5.conv3.weight": (1024, 256, 1, 1),
        "backbone.layer4.2.bn3.weight": (2048,),
    },
    "deeplabv3plus-mv2": {
        "backbone.conv1.conv.weight": (32, 3, 3, 3),
        "backbone.layer1.0.conv.0.conv.weight": (32, 1, 3, 3),
        "backbone.layer2.0.conv.0.conv.weight": (96, 16, 1, 1),
        "backbone.layer7.0.conv.2.bn.bias": (320,),
        "decode_head.image_pool.1.conv.weight": (512, 320, 1, 1),
        "decode_head.aspp_modules.0.conv.weight": (512, 320, 1, 1),
        "decode_head.aspp_modules.3.depthwise_conv.bn.weight": (320,),
        "decode_head.aspp_modules.1.pointwise_conv.conv.weight": (512, 320, 1, 1),
        "decode_head.bottleneck.conv.weight": (512, 2560, 3, 3),
        "decode_head.c1_bottleneck.conv.weight": (48, 24, 1, 1),
        "decode_head.sep_bottleneck.0.depthwise_conv.conv.weight": (560, 1, 3, 3),
        "decode_head.sep_bottleneck.1.pointwise_conv.conv.weight": (512, 512, 1, 1),
        "auxiliary_head.convs.0.bn.weight": (256,),
    },
}


def on_meta(name: str | ModelConfig, classes: int) -> Segmenter:
    with torch.device("meta"):
        return build_model(name, classes)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_those_of_mmsegmentation(name: str) -> None:
    state = on_meta(name, 19).state_dict()
    assert {key: tuple(state[key].shape) for key in NAMES[name] if key in state} == NAMES[name]
    parts = {key.split(".")[0] for key in state}
    assert parts == {"backbone", "decode_head", "auxiliary_head"}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_builds_and_its_configuration_survives_json(name: str) -> None:
    config = MODELS[name]
    assert config.name == name
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert set(on_meta(name, 3).tap_info().channels) == {"c1", "c2", "c3", "c4", "c4_pre", "context", "decoder"}


def test_quickstart_networks_fit_a_processor() -> None:
    """Sizes at 128x256 that train in minutes: the teacher below 400 M multiply-adds, students below 60 M."""
    teacher = on_meta("quickstart-teacher", 15)
    assert 0.4e6 < sum(p.numel() for p in teacher.parameters()) < 0.9e6
    assert count_flops(teacher, (128, 256)) < 400e6
    for name in ("quickstart-mv2", "quickstart-r18"):
        student = on_meta(name, 15)
        assert 20e3 < sum(p.numel() for p in student.parameters()) < 45e3
        assert count_flops(student, (128, 256)) < 60e6


def test_unknown_names_say_the_nearest() -> None:
    with pytest.raises(SegkdError, match="unknown model 'pspnet-r81'; did you mean 'pspnet-r"):
        build_model("pspnet-r81", 3)
    for change, message in (
        ({"backbone": "resnetv1d"}, "unknown backbone 'resnetv1d'; did you mean 'resnetv1c'"),
        ({"head": "pspp"}, "unknown head 'pspp'; did you mean 'psp'"),
        ({"head_options": {"chanels": 3}}, "unknown option of psp 'chanels'; did you mean 'channels'"),
        ({"backbone_options": {"dept": 18}}, "unknown option of resnetv1c 'dept'; did you mean 'depth'"),
        ({"head_options": {"num_classes": 3}}, "unknown option of psp 'num_classes'"),
    ):
        with pytest.raises(SegkdError, match=message):
            build_model(dataclasses.replace(MODELS["pspnet-r18"], **change), 3)


def test_initial_weights_are_kaiming_or_torchs_own() -> None:
    """The 1x1 classifier: deviation 0.01, or uniform up to 1 / sqrt(inputs), a deviation of 1 / sqrt(3 * inputs)."""
    config = ModelConfig("small", "mobilenetv2", "psp", {"width": 0.1}, {"channels": 100})
    for init_weights, expected in (("kaiming", 0.01), ("torch", 300**-0.5)):
        torch.manual_seed(0)
        model = build_model(dataclasses.replace(config, init_weights=init_weights), 100)
        assert abs(float(model.decode_head.conv_seg.weight.detach().std()) / expected - 1) < 0.05


def test_configuration_sets_normalisation_and_resizing() -> None:
    config = dataclasses.replace(
        MODELS["quickstart-mv2"], mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), align_corners=True
    )
    model = build_model(config, 3)
    assert model.mean.flatten().tolist() == [1.0, 2.0, 3.0]
    assert model.std.flatten().tolist() == [4.0, 5.0, 6.0]
    assert model.align_corners and model.decode_head.align_corners
