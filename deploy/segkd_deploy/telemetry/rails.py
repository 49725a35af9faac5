"""Power rails: the INA3221 and INA238 sensors of a Jetson, and which of them make its total."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from segkd_deploy.telemetry.sysfs import matching, read_number, read_text

# An INA3221 has three channels; in7 is the sum of the shunt voltages, which is no rail.
CHANNELS = (1, 2, 3)
NOT_CONNECTED = "NC"


@dataclass(frozen=True)
class Rail:
    """One power rail.

    Attributes:
        name: its label, such as ``VDD_IN``.
        chip: bus and address of its sensor, such as ``1-0040``.
        files: one file of power, or one of voltage and one of current; their values are multiplied.
        watts_per_unit: the product's unit: 1e-6 for mV times mA and for microwatts, 1e-3 for milliwatts.
        alarms: files of the sensor's over-current alarms, which hold 0 or 1.
    """

    name: str
    chip: str
    files: tuple[Path, ...]
    watts_per_unit: float
    alarms: tuple[Path, ...] = ()

    def read_w(self) -> float | None:
        """The present power in watts; None while the sensor does not answer."""
        product = self.watts_per_unit
        for file in self.files:
            value = read_number(file)
            if value is None:
                return None
            product *= value
        return product

    def alarmed(self) -> list[str]:
        """Names of the alarms that are on."""
        return [file.name for file in self.alarms if read_number(file)]


@dataclass(frozen=True)
class Total:
    """Rails that together are a board's power.

    Attributes:
        rails: their labels; all must be there.
        scope: what they feed.
    """

    rails: tuple[str, ...]
    scope: str


# Keys of segkd_deploy.chips.CHIPS; the first entry whose rails are all there counts. Sources: NVIDIA Jetson Linux
# Developer Guide, "Software-based power consumption modeling" (Orin); NVIDIA's forum, topic 366461 (Thor: VIN is
# measured by an INA238 before the board, and carrier boards may lack it). VDDQ_VDD2_1V8AO is part of VIN_SYS_5V0.
TOTALS: dict[str, tuple[Total, ...]] = {
    "orin-nano": (Total(("VDD_IN",), "module"),),
    "orin-nx": (Total(("VDD_IN",), "module"),),
    "orin": (Total(("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"), "module"),),
    "thor": (
        Total(("VIN",), "module and carrier board"),
        Total(("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"), "module"),
    ),
}


def find_rails(root: Path) -> list[Rail]:
    """Every rail that is connected, in the order of bus, address and channel."""
    rails = [*_ina3221_hwmon(root), *_ina3221_iio(root), *_ina238(root)]
    names = [rail.name for rail in rails]
    return [
        Rail(f"{rail.name}@{rail.chip}", rail.chip, rail.files, rail.watts_per_unit, rail.alarms)
        if names.count(rail.name) > 1
        else rail
        for rail in rails
    ]


def choose_total(board: str | None, names: list[str]) -> Total | None:
    """The rails that make the total of a board; None for an unknown board or if one of them is missing."""
    return next((total for total in TOTALS.get(board or "", ()) if set(total.rails) <= set(names)), None)


def _hwmon_folders(root: Path, driver: str) -> list[tuple[str, Path]]:
    """Sensors of a driver: bus-address and hwmon folder."""
    folders = matching(root, f"/sys/bus/i2c/drivers/{driver}/*/hwmon/hwmon*")
    if folders:
        return [(folder.parent.parent.name, folder) for folder in folders]
    return [
        (folder.name, folder)
        for folder in matching(root, "/sys/class/hwmon/hwmon*")
        if read_text(folder / "name") == driver
    ]


def _ina3221_hwmon(root: Path) -> list[Rail]:
    """JetPack 5 and later: voltage in mV, current in mA."""
    rails = []
    for chip, folder in _hwmon_folders(root, "ina3221"):
        for channel in CHANNELS:
            name = read_text(folder / f"in{channel}_label")
            if name is None or name.upper() == NOT_CONNECTED:
                continue
            files = (folder / f"in{channel}_input", folder / f"curr{channel}_input")
            alarms = tuple(folder / f"curr{channel}_{kind}_alarm" for kind in ("crit", "max"))
            rails.append(Rail(name, chip, files, 1e-6, alarms))
    return rails


def _ina3221_iio(root: Path) -> list[Rail]:
    """JetPack 4 and kernels with NVIDIA's iio driver: power in mW."""
    rails = []
    for folder in matching(root, "/sys/bus/i2c/drivers/ina3221*/*/iio:device*"):
        for label in matching(folder, "rail_name_*"):
            match = re.fullmatch(r"rail_name_(\d+)", label.name)
            name = read_text(label)
            if match is None or name is None or name.upper() == NOT_CONNECTED:
                continue
            power = folder / f"in_power{match[1]}_input"
            rails.append(Rail(name, folder.parent.name, (power,), 1e-3))
    return rails


def _ina238(root: Path) -> list[Rail]:
    """Thor's input power in microwatts; the driver gives it no label on some images."""
    rails = []
    for chip, folder in _hwmon_folders(root, "ina238"):
        name = read_text(folder / "in1_label") or read_text(folder / "label") or "VIN"
        rails.append(Rail(name, chip, (folder / "power1_input",), 1e-6))
    return rails
