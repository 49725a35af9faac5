"""The networks of the zoo, family by family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segkd_distill.models.backbones.mobilenetv2_stages import ATTNFD_STAGES, CIRKD_STAGES
from segkd_distill.models.config import ModelConfig

_HRNET_HEAD = {"inputs": ("c1", "c2", "c3", "c4"), "kernel_size": 1, "dropout": 0.0}
# open-mmlab's networks; the BPKD paper's table has eight of them.
OPEN_MMLAB = (
    ModelConfig("pspnet-r18", "resnetv1c", "psp", {"depth": 18}, {"channels": 128}, 64),
    ModelConfig("pspnet-r50", "resnetv1c", "psp", {"depth": 50}, {"channels": 512}, 256),
    ModelConfig("pspnet-r101", "resnetv1c", "psp", {"depth": 101}, {"channels": 512}, 256),
    ModelConfig("pspnet-mv2", "mobilenetv2", "psp", {}, {"channels": 512}, 256),
    ModelConfig(
        "hrnet-w18s",
        "hrnet",
        "fcn",
        {"width": 18, "stage1_blocks": 2, "modules": (1, 3, 2), "blocks": 2},
        _HRNET_HEAD,
    ),
    ModelConfig("hrnet-w48", "hrnet", "fcn", {"width": 48}, _HRNET_HEAD),
    ModelConfig("deeplabv3-r18", "resnetv1c", "deeplabv3", {"depth": 18}, {"channels": 128}, 64),
    ModelConfig("deeplabv3-r101", "resnetv1c", "deeplabv3", {"depth": 101}, {"channels": 512}, 256),
    ModelConfig(
        "deeplabv3plus-r18", "resnetv1c", "deeplabv3plus", {"depth": 18}, {"channels": 128, "c1_channels": 12}, 64
    ),
    ModelConfig(
        "deeplabv3plus-r101", "resnetv1c", "deeplabv3plus", {"depth": 101}, {"channels": 512, "c1_channels": 48}, 256
    ),
    ModelConfig("deeplabv3plus-mv2", "mobilenetv2", "deeplabv3plus", {}, {"channels": 512, "c1_channels": 48}, 256),
    ModelConfig("isanet-r18", "resnetv1c", "isa", {"depth": 18}, {"channels": 128}, 64),
    ModelConfig("isanet-r101", "resnetv1c", "isa", {"depth": 101}, {"channels": 512}, 256),
)

# winycg/CIRKD and OSVAI/Af-DCD feed BGR and subtract Caffe's means; the same here on RGB.
_CIRKD_MEAN, _CIRKD_STD = (122.67891434, 116.66876762, 104.00698793), (1.0, 1.0, 1.0)
_CIRKD_RESNET = {"stem": (64, 64, 128), "dilate_both": True, "zero_init_residual": False}
_CIRKD_DEEPLAB = {"pool_last": True, "bottleneck_kernel": 1, "context_dropout": 0.5, "decoder_convs": 1}


def _cirkd(
    name: str, backbone: str, head: str, backbone_options: Mapping[str, Any], head_options: Mapping[str, Any], aux: Any
) -> ModelConfig:
    return ModelConfig(
        name,
        backbone,
        head,
        backbone_options,
        head_options,
        aux,
        mean=_CIRKD_MEAN,
        std=_CIRKD_STD,
        align_corners=True,
        channel_dropout=False,
    )


# winycg/CIRKD's networks, in the widths of its released teachers, which OSVAI/Af-DCD keeps.
CIRKD = (
    _cirkd(
        "cirkd-deeplabv3-r18",
        "resnetv1c",
        "deeplabv3",
        {"depth": 18, **_CIRKD_RESNET},
        {"channels": 128, **_CIRKD_DEEPLAB},
        64,
    ),
    _cirkd(
        "cirkd-deeplabv3-r101",
        "resnetv1c",
        "deeplabv3",
        {"depth": 101, **_CIRKD_RESNET},
        {"channels": 256, **_CIRKD_DEEPLAB},
        256,
    ),
    _cirkd(
        "cirkd-deeplabv3-mv2",
        "mobilenetv2",
        "deeplabv3",
        {"stages": CIRKD_STAGES},
        {"channels": 128, **_CIRKD_DEEPLAB},
        None,
    ),
    _cirkd(
        "cirkd-pspnet-r18",
        "resnetv1c",
        "psp",
        {"depth": 18, **_CIRKD_RESNET},
        {"channels": 128, "branch_channels": 128},
        64,
    ),
    _cirkd(
        "cirkd-pspnet-r101",
        "resnetv1c",
        "psp",
        {"depth": 101, **_CIRKD_RESNET},
        {"channels": 512, "branch_channels": 512},
        256,
    ),
    # winycg/CIRKD's later DeepLabV3 (CIRKDv2), whose ASPP is wider under the same file names.
    _cirkd(
        "cirkdv2-deeplabv3-r18",
        "resnetv1c",
        "deeplabv3",
        {"depth": 18, **_CIRKD_RESNET},
        {"channels": 512, **_CIRKD_DEEPLAB},
        64,
    ),
    _cirkd(
        "cirkdv2-deeplabv3-r101",
        "resnetv1c",
        "deeplabv3",
        {"depth": 101, **_CIRKD_RESNET},
        {"channels": 512, **_CIRKD_DEEPLAB},
        256,
    ),
)


def _torchvision(name: str, depth: int) -> ModelConfig:
    """Torchvision's ``deeplabv3_resnet*``, with its auxiliary head."""
    return ModelConfig(
        name,
        "resnetv1c",
        "deeplabv3",
        {"depth": depth, "deep_stem": False, "zero_init_residual": False},
        {"channels": 256, **_CIRKD_DEEPLAB, "dropout": 0.0},
        256,
        channel_dropout=False,
    )


def _torchvision_fcn(name: str, depth: int) -> ModelConfig:
    """Torchvision's ``fcn_resnet*``, with its auxiliary head."""
    return ModelConfig(
        name,
        "resnetv1c",
        "fcn",
        {"depth": depth, "deep_stem": False, "zero_init_residual": False},
        {"inputs": ("c4",), "channels": 512},
        256,
        channel_dropout=False,
    )


TORCHVISION = (
    _torchvision("torchvision-deeplabv3-r50", 50),
    _torchvision("torchvision-deeplabv3-r101", 101),
    _torchvision_fcn("torchvision-fcn-r50", 50),
    _torchvision_fcn("torchvision-fcn-r101", 101),
)

# Output stride 16 and torchvision's stem.
_ATTNFD_RESNET = {
    "deep_stem": False,
    "strides": (1, 2, 2, 1),
    "dilations": (1, 1, 1, 2),
    "contract_dilation": False,
    "dilate_both": True,
    "zero_init_residual": False,
}
_ATTNFD_HEAD = {
    "channels": 256,
    "dilations": (1, 6, 12, 18),
    "pool_last": True,
    "separable": False,
    "bottleneck_kernel": 1,
    "context_dropout": 0.5,
    "decoder_dropout": 0.5,
}


def _attnfd(name: str, backbone: str, options: Mapping[str, Any]) -> ModelConfig:
    return ModelConfig(
        name, backbone, "deeplabv3plus", options, _ATTNFD_HEAD, align_corners=True, channel_dropout=False
    )


# AmirMansurian/AttnFD's networks, without the attention modules that only its method uses.
ATTNFD = (
    _attnfd("attnfd-deeplabv3plus-r18", "resnetv1c", {"depth": 18, **_ATTNFD_RESNET}),
    _attnfd("attnfd-deeplabv3plus-r101", "resnetv1c", {"depth": 101, **_ATTNFD_RESNET, "multi_grid": (1, 2, 4)}),
    _attnfd("attnfd-deeplabv3plus-mv2", "mobilenetv2", {"stages": ATTNFD_STAGES, "pad_block_input": True}),
)

# Name -> widths of the stages, blocks per stage, width of the head.
_SEGFORMERS = {
    "segformer-b0": ((32, 64, 160, 256), (2, 2, 2, 2), 256),
    "segformer-b1": ((64, 128, 320, 512), (2, 2, 2, 2), 256),
    "segformer-b2": ((64, 128, 320, 512), (3, 4, 6, 3), 768),
    "segformer-b3": ((64, 128, 320, 512), (3, 4, 18, 3), 768),
    "segformer-b4": ((64, 128, 320, 512), (3, 8, 27, 3), 768),
    "segformer-b5": ((64, 128, 320, 512), (3, 6, 40, 3), 768),
}
SEGFORMER = tuple(
    ModelConfig(name, "mit", "segformer", {"widths": widths, "depths": depths}, {"channels": channels})
    for name, (widths, depths, channels) in _SEGFORMERS.items()
)

# Strides instead of the max-pool, and dilation 2 in the last two stages: the maps are small.
_SMALL_RESNET = {
    "depth": 18,
    "stem_pool": False,
    "strides": (2, 2, 1, 1),
    "dilations": (1, 1, 2, 2),
    "contract_dilation": False,
    "dilate_both": True,
    "zero_init_residual": False,
}
# One pointwise ASPP branch and one dense convolution on c1's grid, where small networks have most to gain.
_SMALL_DECODER = {
    "dilations": (1,),
    "pool": False,
    "bottleneck_kernel": 1,
    "separable": False,
    "decoder_convs": 1,
    "dropout": 0.0,
}
# Small networks that train on a CPU in minutes at 128x256, with AdamW and from nothing.
QUICKSTART = (
    ModelConfig(
        "quickstart-teacher",
        "resnetv1c",
        "deeplabv3plus",
        {**_SMALL_RESNET, "blocks": (2, 2, 1, 1), "widths": (24, 48, 96, 96), "stem": (24,)},
        {
            "channels": 48,
            "c1_channels": 24,
            "dilations": (1, 4),
            "separable": False,
            "decoder_convs": 1,
            "dropout": 0.0,
        },
        init_weights="torch",
    ),
    ModelConfig(
        "quickstart-mv2",
        "mobilenetv2",
        "deeplabv3plus",
        {
            "divisor": 4,
            "stem": 16,
            "stages": ((2, 12, 1, 2, 1), (3, 16, 2, 2, 1), (3, 32, 1, 1, 2), (3, 32, 1, 1, 2)),
            "out_stages": (0, 1, 2, 3),
        },
        {**_SMALL_DECODER, "channels": 32, "c1_channels": 16},
        init_weights="torch",
    ),
    ModelConfig(
        "quickstart-r18",
        "resnetv1c",
        "deeplabv3plus",
        {**_SMALL_RESNET, "blocks": (1, 1, 1, 1), "widths": (16, 20, 24, 24), "stem": (16,)},
        {**_SMALL_DECODER, "channels": 24, "c1_channels": 12},
        init_weights="torch",
    ),
)

MODELS: dict[str, ModelConfig] = {
    config.name: config for config in (*OPEN_MMLAB, *CIRKD, *TORCHVISION, *ATTNFD, *SEGFORMER, *QUICKSTART)
}
