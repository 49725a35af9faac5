"""A discrete NVIDIA GPU through NVML (package nvidia-ml-py, extra ``nvml``); not used on a Jetson.

NVML answers "not supported" to every question about power on a Jetson, where the rails tell instead.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from segkd.errors import MissingExtra
from segkd_deploy.telemetry.sysfs import matching

# Bits of the clocks' event reasons in nvml.h that mean the GPU runs slower than it was asked to.
SLOWDOWNS: dict[int, str] = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
NVML_CLOCK_SM = 1
NVML_CLOCK_MEM = 2
NVML_TEMPERATURE_GPU = 0


class Nvml:
    """One GPU.

    Args:
        library: the module ``pynvml``, initialised.
        index: the GPU's number.
    """

    def __init__(self, library: Any, index: int) -> None:
        self.index = index
        self._library = library
        self._handle = library.nvmlDeviceGetHandleByIndex(index)
        self._first_mj: float | None = None

    @property
    def name(self) -> str:
        """Its name among the power sources."""
        return f"gpu{self.index}"

    def read_w(self) -> float | None:
        """The driver's power reading in watts, on most GPUs a mean over some time."""
        milliwatts = self._ask("nvmlDeviceGetPowerUsage")
        return None if milliwatts is None else float(milliwatts) / 1000

    def read_j(self) -> float | None:
        """Energy in joules since the first call; None before Volta."""
        millijoules = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        if millijoules is None:
            return None
        if self._first_mj is None:
            self._first_mj = float(millijoules)
        return (float(millijoules) - self._first_mj) / 1000

    def read_c(self) -> float | None:
        """The GPU's temperature in degrees Celsius."""
        value = self._ask("nvmlDeviceGetTemperature", NVML_TEMPERATURE_GPU)
        return None if value is None else float(value)

    def read_hz(self) -> float | None:
        """The clock of the multiprocessors."""
        value = self._ask("nvmlDeviceGetClockInfo", NVML_CLOCK_SM)
        return None if value is None else float(value) * 1e6

    def slowdowns(self) -> list[str]:
        """Why the GPU runs slower than asked, now."""
        bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        return [] if bits is None else [text for bit, text in SLOWDOWNS.items() if int(bits) & bit]

    def to_dict(self) -> dict[str, Any]:
        """What the GPU is and its present state."""
        capability = self._ask("nvmlDeviceGetCudaComputeCapability")
        limit = self._ask("nvmlDeviceGetEnforcedPowerLimit")
        memory_mhz = self._ask("nvmlDeviceGetClockInfo", NVML_CLOCK_MEM)
        hz = self.read_hz()
        cuda = self._ask_library("nvmlSystemGetCudaDriverVersion")
        return {
            "name": _text(self._ask("nvmlDeviceGetName")),
            "index": self.index,
            "driver": _text(self._ask_library("nvmlSystemGetDriverVersion")),
            "cuda_driver": None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
            "sm": None if capability is None else f"{capability[0]}.{capability[1]}",
            "mhz": None if hz is None else hz / 1e6,
            "memory_mhz": None if memory_mhz is None else float(memory_mhz),
            "power_w": self.read_w(),
            "power_limit_w": None if limit is None else float(limit) / 1000,
            "temperature_c": self.read_c(),
            "slowdowns": self.slowdowns(),
        }

    def _ask(self, function: str, *arguments: Any) -> Any:
        return self._ask_library(function, self._handle, *arguments)

    def _ask_library(self, function: str, *arguments: Any) -> Any:
        """What NVML answers; None where it, the driver or the GPU does not have the function."""
        try:
            return getattr(self._library, function)(*arguments)
        except (self._library.NVMLError, AttributeError):
            return None


def open_nvml(root: Path, index: int = 0) -> tuple[Nvml | None, str | None]:
    """A GPU of this machine.

    Args:
        root: where the system's files are; NVML is a library and answers for ``/`` only.
        index: the GPU's number.

    Returns:
        The GPU, or None and the reason; the reason is None as well where no NVIDIA driver is loaded.
    """
    if root != Path("/") or not matching(root, "/proc/driver/nvidia/gpus/*"):
        return None, None
    try:
        library = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return None, str(MissingExtra("pynvml", "nvml"))
    try:
        library.nvmlInit()
        return Nvml(library, index), None
    except library.NVMLError as error:
        return None, f"NVML: {error}"


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value
