"""AttnFD: DeepLabV3+ of the overhaul / jfzhang code.

Source: AmirMansurian/AttnFD at b9ee23c (modeling/deeplab.py, aspp.py, decoder.py, backbone/resnet.py, mobilenet.py).
Its CBAM modules serve distillation alone and are left out. Images are RGB with ImageNet's mean and deviation
(dataloaders/datasets/pascal.py), as here.
"""

from __future__ import annotations

from segkd_distill.models.checkpoints.formats.base import IMAGENET, Format, Rules, Tensors, has
from segkd_distill.models.checkpoints.formats.flat_mobilenet import flat_rules

_KINDS = (("0", "conv"), ("1", "bn"))
RULES = Rules(
    [
        *flat_rules(r"backbone\.", old=True),
        *(
            (rf"aspp\.aspp{branch + 1}\.{theirs}\.(.+)", rf"decode_head.aspp_modules.{branch}.{ours}.\1")
            for branch in range(4)
            for theirs, ours in (("atrous_conv", "conv"), ("bn", "bn"))
        ),
        (r"aspp\.global_avg_pool\.1\.(.+)", r"decode_head.image_pool.1.conv.\1"),
        (r"aspp\.global_avg_pool\.2\.(.+)", r"decode_head.image_pool.1.bn.\1"),
        (r"aspp\.conv1\.(.+)", r"decode_head.bottleneck.conv.\1"),
        (r"aspp\.bn1\.(.+)", r"decode_head.bottleneck.bn.\1"),
        (r"decoder\.conv1\.(.+)", r"decode_head.c1_bottleneck.conv.\1"),
        (r"decoder\.bn1\.(.+)", r"decode_head.c1_bottleneck.bn.\1"),
        *(
            (rf"decoder\.last_conv\.{index}\.(.+)", rf"decode_head.sep_bottleneck.0.{ours}.\1")
            for index, ours in _KINDS
        ),
        (r"decoder\.last_conv\.4\.(.+)", r"decode_head.sep_bottleneck.1.conv.\1"),
        (r"decoder\.last_conv\.5\.(.+)", r"decode_head.sep_bottleneck.1.bn.\1"),
        (r"decoder\.last_conv\.8\.(.+)", r"decode_head.conv_seg.\1"),
    ],
    # MobileNetV2's files hold each tensor twice.
    (r"(?:.+\.)?cbam\..+", r"backbone\.(?:low|high)_level_features\..+"),
    IMAGENET,
)


def matches(tensors: Tensors) -> bool:
    """The name of its dilated convolutions."""
    return has(tensors, r"aspp\.aspp1\.atrous_conv\.")


FORMAT = Format("AttnFD", matches, RULES.translate)
