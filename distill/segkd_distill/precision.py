"""Device and precision, through Lightning Fabric."""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision

from segkd.errors import BackendMissing

FABRIC_NAMES = {"fp16": "16-mixed", "bf16": "bf16-mixed"}


class MixedInside(MixedPrecision):
    """Mixed precision that leaves what goes in and what comes out as it is.

    Fabric's own would round pixels to half precision before they are normalised, and cannot pass a frozen dataclass.
    """

    def convert_input(self, data: Any) -> Any:
        """Unchanged; autocast decides inside."""
        return data

    def convert_output(self, data: Any) -> Any:
        """Unchanged; the terms of the loss are float32 already."""
        return data


def open_fabric(device: torch.device, amp: str) -> Fabric:
    """The fabric of one device.

    Args:
        device: cpu or cuda.
        amp: off, fp16 (with loss scaling) or bf16.

    Raises:
        BackendMissing: for fp16 on a CPU.
    """
    if amp == "fp16" and device.type == "cpu":
        raise BackendMissing("--amp fp16 needs a GPU: use --amp bf16 or --amp off on a CPU")
    devices: Any = 1 if device.type == "cpu" else [device.index or 0]
    plugins: Any = [] if amp == "off" else [MixedInside(FABRIC_NAMES[amp], device.type)]  # type: ignore[arg-type]
    return Fabric(accelerator=device.type, devices=devices, plugins=plugins)


def loss_scale(fabric: Fabric) -> float:
    """What the loss is multiplied by before its backward pass: the gradient scaler's factor, 1 without one."""
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    return 1.0 if scaler is None else float(scaler.get_scale())
