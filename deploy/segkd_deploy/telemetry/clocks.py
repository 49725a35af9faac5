"""Clocks of GPU, CPU and memory (EMC): where they stand, their bounds, and whether they are locked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkd_deploy.telemetry.sysfs import matching, read_number, read_text, under

# Names of an integrated GPU in /sys/class/devfreq: Orin 17000000.gpu (JetPack 6) or 17000000.ga10b (JetPack 5),
# Xavier 17000000.gv11b; Thor gpu-gpc-0, beside gpu-nvd-0 for its video decoder.
GPU_WORDS = ("gpu", "ga10b", "gv11b", "gp10b")
VIDEO_CLOCK = "nvd"
EMC_FOLDER = "/sys/kernel/debug/bpmp/debug/clk/emc"
EMC_CAPS = ("/sys/kernel/nvpmodel_emc_cap/emc_iso_cap", "/sys/kernel/nvpmodel_clk_cap/emc")


@dataclass(frozen=True)
class Clock:
    """A clock of the machine.

    Attributes:
        name: its folder, such as ``17000000.gpu`` or ``policy0``.
        kind: ``gpu``, ``cpu`` or ``emc``.
        current: file of the present frequency.
        lowest: file of the lower bound.
        highest: file of the upper bound.
        hz_per_unit: 1 for Hz, 1000 for kHz.
        governor: file of the governor; None without one.
        override: file that holds 1 while the clock stands still by order; None where equal bounds mean that.
        cap_hz: what the power mode allows, where the bounds do not tell.
    """

    name: str
    kind: str
    current: Path
    lowest: Path
    highest: Path
    hz_per_unit: int
    governor: Path | None = None
    override: Path | None = None
    cap_hz: float | None = None

    def read_hz(self) -> float | None:
        """The present frequency; None if it is not readable, or 0 because the unit is off."""
        value = read_number(self.current)
        return value * self.hz_per_unit if value else None

    def highest_hz(self) -> float | None:
        """The highest frequency that the power mode allows."""
        value = read_number(self.highest)
        if value is None:
            return None
        return min(value * self.hz_per_unit, self.cap_hz or float("inf"))

    def locked_hz(self) -> float | None:
        """Where the clock is locked; None if it may move."""
        highest_hz = self.highest_hz()
        if self.override is not None:
            return self.read_hz() if read_number(self.override) == 1 else None
        lowest = read_number(self.lowest)
        if lowest is None or highest_hz is None or lowest * self.hz_per_unit < highest_hz:
            return None
        return highest_hz

    def to_dict(self) -> dict[str, Any]:
        """Its present state, in MHz."""
        lowest = read_number(self.lowest)
        return {
            "name": self.name,
            "mhz": _mhz(self.read_hz()),
            "min_mhz": None if lowest is None else _mhz(lowest * self.hz_per_unit),
            "max_mhz": _mhz(self.highest_hz()),
            "governor": None if self.governor is None else read_text(self.governor),
            "locked": self.locked_hz() is not None,
        }


def find_clocks(root: Path) -> list[Clock]:
    """The clocks of GPU, memory and CPU; the GPU's own before that of its video decoder."""
    devfreq = matching(root, "/sys/class/devfreq/*")
    gpus = [folder for folder in devfreq if any(word in folder.name for word in GPU_WORDS)]
    gpus.sort(key=lambda folder: VIDEO_CLOCK in folder.name)
    clocks = [_devfreq(folder, "gpu") for folder in gpus]
    emc = _find_emc(root)
    policies = matching(root, "/sys/devices/system/cpu/cpufreq/policy*")
    return [*clocks, *([emc] if emc is not None else []), *(_cpufreq(folder) for folder in policies)]


def gpu_clock(clocks: list[Clock]) -> Clock | None:
    """The clock of the GPU's compute units."""
    return next((clock for clock in clocks if clock.kind == "gpu" and VIDEO_CLOCK not in clock.name), None)


def clocks_locked(clocks: list[Clock]) -> bool | None:
    """Whether every readable clock is locked; None if there is none."""
    readable = [clock for clock in clocks if clock.highest_hz() is not None]
    return all(clock.locked_hz() is not None for clock in readable) if readable else None


def _devfreq(folder: Path, kind: str) -> Clock:
    files = (folder / "cur_freq", folder / "min_freq", folder / "max_freq")
    return Clock(folder.name, kind, *files, hz_per_unit=1, governor=folder / "governor")


def _cpufreq(folder: Path) -> Clock:
    files = (folder / "scaling_cur_freq", folder / "scaling_min_freq", folder / "scaling_max_freq")
    return Clock(folder.name, "cpu", *files, hz_per_unit=1000, governor=folder / "scaling_governor")


def _find_emc(root: Path) -> Clock | None:
    """Thor shows the memory clock in devfreq; Orin in debugfs, which only root reads."""
    devfreq = under(root, "/sys/class/devfreq/bwmgr")
    if (devfreq / "cur_freq").exists():
        return _devfreq(devfreq, "emc")
    folder = under(root, EMC_FOLDER)
    if read_number(folder / "rate") is None:
        return None
    caps = [cap for cap in (read_number(under(root, path)) for path in EMC_CAPS) if cap]
    return Clock(
        "emc",
        "emc",
        folder / "rate",
        folder / "min_rate",
        folder / "max_rate",
        hz_per_unit=1,
        override=folder / "mrq_rate_locked",
        cap_hz=min(caps, default=None),
    )


def _mhz(hz: float | None) -> float | None:
    return None if hz is None else hz / 1e6
