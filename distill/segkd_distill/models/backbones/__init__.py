"""Backbones: one file each, found through one table."""

from __future__ import annotations

BACKBONES: dict[str, str] = {
    "mobilenetv2": "segkd_distill.models.backbones.mobilenetv2:MobileNetV2",
    "resnetv1c": "segkd_distill.models.backbones.resnet:ResNetV1c",
}
