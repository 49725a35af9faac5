"""A small network that the tests of checkpoints save and load."""

from __future__ import annotations

import torch
from torch import Tensor

from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import ModelConfig, build_model

CONFIG = ModelConfig(
    "small",
    "resnetv1c",
    "psp",
    {"depth": 18, "base_width": 8, "blocks": (1, 1, 1, 1)},
    {"channels": 8},
    auxiliary_channels=8,
)


def model(seed: int = 0, classes: int = 3, config: ModelConfig = CONFIG) -> Segmenter:
    torch.manual_seed(seed)
    return build_model(config, classes)


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
