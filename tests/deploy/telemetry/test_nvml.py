from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segkd.errors import install_command
from segkd_deploy.telemetry import nvml
from segkd_deploy.telemetry.nvml import Nvml, open_nvml


class NVMLError(Exception):
    pass


def fake_library(**answers: Any) -> Any:
    """A ``pynvml`` that knows some functions and refuses the others, as an old GPU or a Jetson does."""

    def refuse(*arguments: Any) -> Any:
        raise NVMLError("Not Supported")

    functions = {
        name: refuse
        for name in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetTemperature")
    }
    functions |= {name: lambda *arguments, value=value: value for name, value in answers.items()}
    return SimpleNamespace(
        NVMLError=NVMLError, nvmlInit=lambda: None, nvmlDeviceGetHandleByIndex=lambda index: index, **functions
    )


def test_units() -> None:
    gpu = Nvml(
        fake_library(
            nvmlDeviceGetPowerUsage=254321,
            nvmlDeviceGetTotalEnergyConsumption=5_000,
            nvmlDeviceGetTemperature=61,
            nvmlDeviceGetClockInfo=1980,
        ),
        1,
    )
    assert (gpu.name, gpu.read_w(), gpu.read_c(), gpu.read_hz()) == ("gpu1", 254.321, 61.0, 1980e6)
    assert gpu.read_j() == 0.0
    gpu._library.nvmlDeviceGetTotalEnergyConsumption = lambda handle: 7_500
    assert gpu.read_j() == 2.5


def test_what_is_not_supported_is_none() -> None:
    gpu = Nvml(fake_library(), 0)
    assert (gpu.read_w(), gpu.read_j(), gpu.read_c(), gpu.read_hz(), gpu.slowdowns()) == (None, None, None, None, [])
    assert gpu.to_dict()["sm"] is None


def test_slowdowns_are_bits_and_the_power_cap_is_none() -> None:
    # 0x04, the power cap, is how a GPU normally ends at full load; idle is 0x01.
    gpu = Nvml(fake_library(nvmlDeviceGetCurrentClocksThrottleReasons=0x01 | 0x04 | 0x20 | 0x80), 0)
    assert gpu.slowdowns() == ["software thermal slowdown", "power brake"]


def test_description() -> None:
    library = fake_library(
        nvmlDeviceGetName=b"NVIDIA H200",
        nvmlDeviceGetCudaComputeCapability=(9, 0),
        nvmlSystemGetDriverVersion="580.95.05",
        nvmlSystemGetCudaDriverVersion=13010,
        nvmlDeviceGetEnforcedPowerLimit=700000,
    )
    described = Nvml(library, 0).to_dict()
    assert (described["name"], described["sm"], described["driver"]) == ("NVIDIA H200", "9.0", "580.95.05")
    assert (described["cuda_driver"], described["power_limit_w"]) == ("13.1", 700.0)


def test_without_a_driver_there_is_nothing_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_nvml(tmp_path) == (None, None)
    monkeypatch.setattr(nvml, "matching", lambda root, pattern: [])
    assert open_nvml(Path("/")) == (None, None)


def test_missing_library_and_refusing_library_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "matching", lambda root, pattern: [Path("/proc/driver/nvidia/gpus/0000:01:00.0")])
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert open_nvml(Path("/")) == (None, f"pynvml is not installed: {install_command('nvml')}")
    library = fake_library()

    def refuse() -> None:
        raise NVMLError("Driver Not Loaded")

    library.nvmlInit = refuse
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert open_nvml(Path("/")) == (None, "NVML: Driver Not Loaded")
    monkeypatch.setitem(sys.modules, "pynvml", fake_library())
    gpu, reason = open_nvml(Path("/"), 3)
    assert gpu is not None and (gpu.name, reason) == ("gpu3", None)
