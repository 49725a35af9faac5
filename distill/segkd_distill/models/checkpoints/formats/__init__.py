"""The checkpoint formats: one file each, recognised by their names, never by the file's."""

from __future__ import annotations

from segkd_distill.models.checkpoints.formats import attnfd, cirkd, openmmlab, segformer, timm, torchvision
from segkd_distill.models.checkpoints.formats.base import Format, Tensors

# The first that fits counts.
FORMATS: tuple[Format, ...] = (
    segformer.NVLABS_NETWORK,
    openmmlab.NETWORK,
    attnfd.FORMAT,
    cirkd.FORMAT,
    torchvision.NETWORK,
    torchvision.NETWORK_FCN,
    openmmlab.BACKBONE,
    openmmlab.HRNET,
    timm.BACKBONE_RESNET,
    timm.BACKBONE_MOBILENETV2,
    torchvision.BACKBONE_RESNET,
    torchvision.BACKBONE_MOBILENETV2,
    segformer.TRANSFORMERS_5,
    segformer.TRANSFORMERS_4,
    segformer.CIRKD,
    segformer.ENCODER,
)


def detect(tensors: Tensors) -> Format | None:
    """The format of tensors whose common prefixes are taken off; None if it is none of these."""
    return next((format_ for format_ in FORMATS if format_.matches(tensors)), None)
