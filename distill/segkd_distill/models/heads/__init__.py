"""Decode heads: one file each, found through one table."""

from __future__ import annotations

HEADS: dict[str, str] = {
    "deeplabv3": "segkd_distill.models.heads.deeplabv3:DeepLabV3Head",
    "deeplabv3plus": "segkd_distill.models.heads.deeplabv3plus:DeepLabV3PlusHead",
    "fcn": "segkd_distill.models.heads.fcn:FCNHead",
    "isa": "segkd_distill.models.heads.isa:ISAHead",
    "psp": "segkd_distill.models.heads.psp:PSPHead",
    "segformer": "segkd_distill.models.heads.segformer:SegformerHead",
}
