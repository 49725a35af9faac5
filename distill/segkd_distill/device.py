"""Which device a run uses."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from segkd.errors import BackendMissing, SegkdError

Network = TypeVar("Network", bound=nn.Module)


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
