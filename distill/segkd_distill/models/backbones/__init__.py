"""Backbones: one file each, found through one table."""

from __future__ import annotations

BACKBONES: dict[str, str] = {
    "hrnet": "segkd_distill.models.backbones.hrnet:HRNet",
    "mit": "segkd_distill.models.backbones.mit:MiT",
    "mobilenetv2": "segkd_distill.models.backbones.mobilenetv2:MobileNetV2",
    "resnetv1c": "segkd_distill.models.backbones.resnet:ResNetV1c",
    "timm": "segkd_distill.models.backbones.timm_encoder:TimmEncoder",
}
