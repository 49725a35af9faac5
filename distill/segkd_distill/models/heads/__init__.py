"""Decode heads: one file each, found through one table."""

from __future__ import annotations

HEADS: dict[str, str] = {
    "deeplabv3plus": "segkd_distill.models.heads.deeplabv3plus:DeepLabV3PlusHead",
    "psp": "segkd_distill.models.heads.psp:PSPHead",
}
