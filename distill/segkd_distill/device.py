"""Device and precision of a run, through Lightning Fabric."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from torch import nn

from segkd.errors import BackendMissing, SegkdError

Network = TypeVar("Network", bound=nn.Module)

FABRIC_NAMES = {"fp16": "16-mixed", "bf16": "bf16-mixed"}


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name: ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` (CUDA if there is a GPU, else the CPU).

    Raises:
        BackendMissing: if the device is not there; nothing runs on another one instead.
        SegkdError: for another name.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and (kind == "cpu" or not number.isdecimal())):
        raise SegkdError(f"device {name!r} is not known; give auto, cpu, cuda or cuda:N")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise BackendMissing("no CUDA device was found by torch: run on a machine with one, or give --device cpu")
        if number and int(number) >= torch.cuda.device_count():
            raise BackendMissing(f"there is no device cuda:{number}, torch finds {torch.cuda.device_count()}")
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """The device in words, with the GPU's name or the number of CPU threads."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"


def place(network: Network, device: torch.device) -> Network:
    """Move a network to a device, its weights into channels_last memory; training and evaluation both do."""
    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


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
