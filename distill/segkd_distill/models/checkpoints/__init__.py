"""Weights from files: what the rest of the project calls.

- ``files``: tensors in and out of a file; ``wrappings``: where in it the network lies
- ``reading``, ``formats/``: whose names the tensors have; ``inspect``: ``segkd model inspect``
- ``loading``: into a network; ``encoder``: into an encoder of timm; ``report``: what fitted
"""

from __future__ import annotations

from segkd_distill.models.checkpoints.files import load_tensors, save_tensors
from segkd_distill.models.checkpoints.loading import (
    OtherClasses,
    load_backbone_weights,
    load_checkpoint,
    load_into,
    load_weights,
)
from segkd_distill.models.checkpoints.reading import Checkpoint, read_checkpoint
from segkd_distill.models.checkpoints.report import LoadReport

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
