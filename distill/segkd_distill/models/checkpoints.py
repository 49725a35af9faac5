"""Weights from files: what the rest of the project calls.

Reading (:mod:`checkpoint_files`), formats (:mod:`checkpoint_formats`, :mod:`checkpoint_reading`), loading into networks
(:mod:`checkpoint_loading`), what fitted (:mod:`checkpoint_report`).
"""

from __future__ import annotations

from segkd_distill.models.checkpoint_files import load_tensors, save_tensors
from segkd_distill.models.checkpoint_loading import (
    OtherClasses,
    load_backbone_weights,
    load_checkpoint,
    load_into,
    load_weights,
)
from segkd_distill.models.checkpoint_reading import Checkpoint, read_checkpoint
from segkd_distill.models.checkpoint_report import LoadReport

__all__ = [
    "Checkpoint",
    "LoadReport",
    "OtherClasses",
    "load_backbone_weights",
    "load_checkpoint",
    "load_into",
    "load_tensors",
    "load_weights",
    "read_checkpoint",
    "save_tensors",
]
