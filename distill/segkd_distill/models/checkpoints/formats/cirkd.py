"""CIRKD and Af-DCD: their DeepLabV3 and PSPNet on ResNet-v1s and MobileNetV2, and those backbones alone.

Source: winycg/CIRKD at 351400e (models/deeplabv3.py, pspnet.py, deeplabv3_mobile.py, base_models/*; dataset/*.py for
the normalisation); OSVAI/Af-DCD has the same names.

They read images with OpenCV: BGR, minus Caffe's means, not divided. Here the first convolution's input channels are
turned round and the means with them, which gives the same sums for RGB; nothing else in the network, and nothing on
a device, has to know.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from segkd_distill.models.checkpoints.formats.base import Format, Normalisation, Rules, Tensors, Translation, has
from segkd_distill.models.checkpoints.formats.flat_mobilenet import flat_rules

CAFFE = Normalisation((122.67891434, 116.66876762, 104.00698793), (1.0, 1.0, 1.0))
NOTE = "trained on BGR minus Caffe's means: first convolution and means are turned to RGB"
BACKBONE_NOTE = "CIRKD reads it with BGR minus Caffe's means: first convolution and means are turned to RGB"

_STEM = [
    (rf"(?:pretrained\.)?{part}{index}\.(.+)", rf"backbone.stem.{3 * (index - 1) + offset}.\1")
    for index in (1, 2, 3)
    for part, offset in (("conv", 0), ("bn", 1))
]
_KINDS = (("0", "conv"), ("1", "bn"))
_DEEPLAB = [
    rule
    for index, ours in _KINDS
    for rule in (
        (rf"head\.aspp\.b0\.{index}\.(.+)", rf"decode_head.aspp_modules.0.{ours}.\1"),
        (rf"head\.aspp\.b([123])\.block\.{index}\.(.+)", rf"decode_head.aspp_modules.\1.{ours}.\2"),
        (rf"head\.aspp\.b4\.gap\.{int(index) + 1}\.(.+)", rf"decode_head.image_pool.1.{ours}.\1"),
        (rf"head\.aspp\.project\.{index}\.(.+)", rf"decode_head.bottleneck.{ours}.\1"),
        (rf"head\.block\.{index}\.(.+)", rf"decode_head.convs.0.{ours}.\1"),
    )
]
_PSP = [
    rule
    for index, ours in _KINDS
    for rule in (
        *(
            (rf"head\.psp\.conv{branch + 1}\.{index}\.(.+)", rf"decode_head.psp_modules.{branch}.1.{ours}.\1")
            for branch in range(4)
        ),
        (rf"head\.block\.{index}\.(.+)", rf"decode_head.bottleneck.{ours}.\1"),
    )
]
_COMMON = [
    *_STEM,
    (r"(?:pretrained\.)?(layer[1-4]\..+)", r"backbone.\1"),
    *flat_rules(r"(?:pretrained\.net\.)?", old=True),
    (r"head\.(?:block\.4|classifier)\.(.+)", r"decode_head.conv_seg.\1"),
    *((rf"auxlayer\.block\.{index}\.(.+)", rf"auxiliary_head.convs.0.{ours}.\1") for index, ours in _KINDS),
    (r"auxlayer\.block\.4\.(.+)", r"auxiliary_head.conv_seg.\1"),
]
# The classifier of an ImageNet backbone, and MobileNetV2's last convolution, which only that reads.
_DROP = (r"(?:pretrained\.)?fc\..+", r"classifier\..+", r"(?:pretrained\.net\.)?features\.18\..+")
DEEPLAB = Rules([*_DEEPLAB, *_COMMON], _DROP)
PSP = Rules([*_PSP, *_COMMON], _DROP)


def matches(tensors: Tensors) -> bool:
    """``pretrained.`` before the backbone; alone, a stem of three convolutions or the flat MobileNetV2."""
    first, third = tensors.get("conv1.weight"), tensors.get("conv3.weight")
    stem = first is not None and third is not None and first.shape[1:] == (3, 3, 3) and third.ndim == 4
    return has(tensors, r"pretrained\.", r"head\.") or stem or has(tensors, r"features\.1\.conv\.3\.weight")


def to_rgb(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn the first convolution's input channels round, BGR to RGB."""
    first = ("backbone.stem.0.weight", "backbone.conv1.conv.weight", "backbone.conv1.weight")
    return {name: tensor.flip(1) if name in first else tensor for name, tensor in tensors.items()}


def translate(tensors: Tensors) -> Translation:
    """Rename, and turn BGR to RGB."""
    found = (PSP if has(tensors, r"head\.psp\.") else DEEPLAB).translate(tensors)
    notes = (NOTE,) if has(tensors, r"head\.") else (BACKBONE_NOTE,)
    return replace(found, tensors=to_rgb(found.tensors), notes=notes, normalisation=CAFFE)


FORMAT = Format("CIRKD", matches, translate)
