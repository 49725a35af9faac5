"""open-mmlab: mmsegmentation 0.x and 1.x, mmcv's and mmcls' ImageNet backbones, mmrazor.

Source: mmsegmentation 0.26.0 and 1.2.2 (state dicts of ``EncoderDecoder``), mmcls 0.x (``ImageClassifier``). This
project's names are theirs, so nothing is renamed; bare backbones get their prefix. Images are RGB with ImageNet's mean
and deviation, unless the file says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from segkd_distill.models.checkpoints.formats.base import (
    IMAGENET,
    Format,
    Normalisation,
    Tensors,
    Translation,
    has,
)

# An ImageNet classifier, and MobileNetV2's last convolution, which only the classifier reads.
CLASSIFIER = r"(?:fc|head|neck|classifier|logits)\..*|(?:backbone\.)?conv2\.(?:conv|bn)\..*"
_IMG_NORM = re.compile(
    r"img_norm_cfg\s*=\s*dict\(\s*mean=\[(?P<mean>[^\]]*)\],\s*std=\[(?P<std>[^\]]*)\],\s*to_rgb=(?P<to_rgb>\w+)"
)
HRNET_CLASSIFIER = r"(?:incre_modules|downsamp_modules|final_layer|classifier)\..*"


def matches_network(tensors: Tensors) -> bool:
    """Whole networks: a head with its classifier."""
    return has(tensors, r"decode_head\.conv_seg\.")


def matches_backbone(tensors: Tensors) -> bool:
    """ResNetV1c's ``stem``, MobileNetV2's ``conv1.conv``."""
    return has(tensors, r"(backbone\.)?stem\.0\.weight", r"(backbone\.)?layer1\.0\.") or has(
        tensors, r"(backbone\.)?conv1\.conv\.weight", r"(backbone\.)?layer1\.0\.conv\.0\.conv\.weight"
    )


def matches_hrnet(tensors: Tensors) -> bool:
    """HRNet as its authors, open-mmlab and timm name it."""
    return has(tensors, r"(backbone\.)?stage2\.0\.branches\.", r"(backbone\.)?transition1\.")


def bare_backbone(tensors: Tensors, classifier: str) -> Translation:
    """Give a backbone's names their prefix and leave its classifier out."""
    dropped = tuple(name for name in tensors if re.fullmatch(classifier, name))
    kept = {
        name if name.startswith("backbone.") else f"backbone.{name}": tensor
        for name, tensor in tensors.items()
        if name not in dropped
    }
    return Translation(kept, dropped, normalisation=IMAGENET)


def _network(tensors: Tensors) -> Translation:
    return Translation(dict(tensors))


def preprocessor_normalisation(tensors: Tensors) -> Normalisation | None:
    """Mean and deviation of a 1.x data preprocessor, where a file has them."""
    pair = []
    for name in ("data_preprocessor.mean", "data_preprocessor.std"):
        found = next((tensor for key, tensor in tensors.items() if key.endswith(name)), None)
        if found is None or found.numel() != 3:
            return None
        red, green, blue = (float(value) for value in found.flatten())
        pair.append((red, green, blue))
    return Normalisation(*pair)


def meta_normalisation(meta: Mapping[str, Any]) -> Normalisation | None:
    """Mean and deviation of a 0.x file: those of the configuration in its ``meta``, ImageNet's where it has none."""
    found = _IMG_NORM.search(str(meta.get("config", "")))
    if found is None:
        return IMAGENET if "mmseg_version" in meta else None
    try:
        mean, std = ([float(value) for value in found[key].split(",") if value.strip()] for key in ("mean", "std"))
    except ValueError:
        return None
    rgb = found["to_rgb"] == "True" and len(mean) == len(std) == 3
    return Normalisation((mean[0], mean[1], mean[2]), (std[0], std[1], std[2])) if rgb else None


NETWORK = Format("open-mmlab", matches_network, _network)
BACKBONE = Format("open-mmlab backbone", matches_backbone, lambda tensors: bare_backbone(tensors, CLASSIFIER))
HRNET = Format("HRNet backbone", matches_hrnet, lambda tensors: bare_backbone(tensors, HRNET_CLASSIFIER))
