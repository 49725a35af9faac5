"""torchvision: DeepLabV3 and FCN, and ResNet and MobileNetV2 alone; timm's plain ResNets have the same names.

Source: torchvision 0.28 (models/segmentation/deeplabv3.py, fcn.py, resnet.py, mobilenetv2.py). Images are RGB with
ImageNet's mean and deviation, as here.
"""

from __future__ import annotations

from segkd_distill.models.checkpoints.formats.base import IMAGENET, Format, Rules, Tensors, has
from segkd_distill.models.checkpoints.formats.flat_mobilenet import flat_rules

_KINDS = (("0", "conv"), ("1", "bn"))
DEEPLABV3 = Rules(
    [
        *(
            rule
            for index, ours in _KINDS
            for rule in (
                (rf"classifier\.0\.convs\.([0-3])\.{index}\.(.+)", rf"decode_head.aspp_modules.\1.{ours}.\2"),
                (rf"classifier\.0\.convs\.4\.{int(index) + 1}\.(.+)", rf"decode_head.image_pool.1.{ours}.\1"),
                (rf"classifier\.0\.project\.{index}\.(.+)", rf"decode_head.bottleneck.{ours}.\1"),
                (rf"classifier\.{int(index) + 1}\.(.+)", rf"decode_head.convs.0.{ours}.\1"),
                (rf"aux_classifier\.{index}\.(.+)", rf"auxiliary_head.convs.0.{ours}.\1"),
            )
        ),
        (r"classifier\.4\.(.+)", r"decode_head.conv_seg.\1"),
        (r"aux_classifier\.4\.(.+)", r"auxiliary_head.conv_seg.\1"),
    ],
    normalisation=IMAGENET,
)
FCN = Rules(
    [
        *(
            (rf"{theirs}\.{index}\.(.+)", rf"{ours}.convs.0.{kind}.\1")
            for theirs, ours in (("classifier", "decode_head"), ("aux_classifier", "auxiliary_head"))
            for index, kind in _KINDS
        ),
        (r"classifier\.4\.(.+)", r"decode_head.conv_seg.\1"),
        (r"aux_classifier\.4\.(.+)", r"auxiliary_head.conv_seg.\1"),
    ],
    normalisation=IMAGENET,
)
RESNET = Rules([(r"((?:conv1|bn1|layer[1-4])\..+)", r"backbone.\1")], (r"fc\..+",), IMAGENET)
MOBILENETV2 = Rules(flat_rules("", old=False), (r"features\.18\..+", r"classifier\..+"), IMAGENET)


def matches_resnet(tensors: Tensors) -> bool:
    """A 7x7 stem before ResNet's stages."""
    first = tensors.get("conv1.weight")
    return first is not None and first.shape[2:] == (7, 7) and has(tensors, r"layer1\.0\.conv1\.")


NETWORK = Format("torchvision", lambda tensors: has(tensors, r"classifier\.0\.convs\."), DEEPLABV3.translate)
NETWORK_FCN = Format(
    "torchvision",
    lambda tensors: has(tensors, r"classifier\.0\.weight", r"classifier\.4\.weight", r"backbone\.layer4\."),
    FCN.translate,
)
BACKBONE_RESNET = Format("torchvision backbone", matches_resnet, RESNET.translate)
BACKBONE_MOBILENETV2 = Format(
    "torchvision backbone", lambda tensors: has(tensors, r"features\.1\.conv\.0\.0\."), MOBILENETV2.translate
)
