"""timm: ResNets with a deep stem and MobileNetV2.

Source: timm 1.0.31 (models/resnet.py, efficientnet.py). Dilations are the network's own here, whatever the weights
were trained with. Images are RGB with ImageNet's mean and deviation, unless the ``config.json`` beside the file says
otherwise. HRNet has its authors' names (openmmlab.py), plain ResNets torchvision's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segkd.errors import SegkdError
from segkd.files import read_json
from segkd_distill.models.checkpoints.formats.base import IMAGENET, Format, Normalisation, Rules, Tensors, has

# What the Hugging Face hub and ``timm.models.save_for_hf`` put beside the weights.
CONFIG = "config.json"

# The three convolutions of the stem are one list, the last normalisation is the network's own.
RESNET = Rules(
    [
        (r"conv1\.(\d)\.(.+)", r"backbone.stem.\1.\2"),
        (r"bn1\.(.+)", r"backbone.stem.7.\1"),
        (r"(layer[1-4]\..+)", r"backbone.\1"),
    ],
    (r"fc\..+",),
    IMAGENET,
)
_BLOCK = (
    ("conv_pw", "0.conv"),
    ("bn1", "0.bn"),
    ("conv_dw", "1.conv"),
    ("bn2", "1.bn"),
    ("conv_pwl", "2.conv"),
    ("bn3", "2.bn"),
)
_FIRST_BLOCK = (("conv_dw", "0.conv"), ("bn1", "0.bn"), ("conv_pw", "1.conv"), ("bn2", "1.bn"))
MOBILENETV2 = Rules(
    [
        (r"conv_stem\.(.+)", r"backbone.conv1.conv.\1"),
        (r"bn1\.(.+)", r"backbone.conv1.bn.\1"),
        *((rf"blocks\.0\.0\.{theirs}\.(.+)", rf"backbone.layer1.0.conv.{ours}.\1") for theirs, ours in _FIRST_BLOCK),
        *(
            (rf"blocks\.{stage}\.(\d+)\.{theirs}\.(.+)", rf"backbone.layer{stage + 1}.\1.conv.{ours}.\2")
            for stage in range(1, 7)
            for theirs, ours in _BLOCK
        ),
    ],
    (r"(?:conv_head|bn2|classifier)\..+",),
    IMAGENET,
)


def matches_resnet(tensors: Tensors) -> bool:
    """A stem of three convolutions in one list."""
    return has(tensors, r"conv1\.6\.weight", r"layer1\.0\.conv1\.")


def matches_mobilenetv2(tensors: Tensors) -> bool:
    """The names of a stem and of a block's projection; the first block has none."""
    return has(tensors, r"conv_stem\.", r"blocks\.1\.0\.conv_pwl\.", r"blocks\.6\.0\.conv_pwl\.") and not has(
        tensors, r"blocks\.\d+\.\d+\.se\."
    )


def config_normalisation(path: Path) -> Normalisation | None:
    """Mean and deviation of the ``config.json`` beside a weights file, where that is timm's.

    Raises:
        SegkdError: if they are malformed.
    """
    config = path.with_name(CONFIG)
    values = read_json(config) if config.is_file() else None
    own = values.get("pretrained_cfg") if isinstance(values, Mapping) else None
    if not isinstance(own, Mapping) or not {"mean", "std"} <= own.keys():
        return None
    try:
        # timm's are shares of 255; rounded, 0.456 * 255 is 116.28 again.
        mean, std = (tuple(round(255 * float(value), 4) for value in own[key]) for key in ("mean", "std"))
        return Normalisation((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))
    except (TypeError, ValueError, IndexError) as error:
        raise SegkdError(f"{config}: pretrained_cfg: mean and std must be three numbers each ({error!r})") from error


BACKBONE_RESNET = Format("timm backbone", matches_resnet, RESNET.translate)
BACKBONE_MOBILENETV2 = Format("timm backbone", matches_mobilenetv2, MOBILENETV2.translate)
