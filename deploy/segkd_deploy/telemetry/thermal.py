"""Heat: thermal zones and their trip points, throttle alerts, over-current and throttle counters, the fan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segkd_deploy.telemetry.sysfs import matching, read_number, read_text

# What the kernel reports for a zone whose part of the chip is off.
OFFLINE_C = -256.0

# The counters of Orin's soctherm, in NVIDIA's Developer Guide.
OC_MEANINGS: dict[str, str] = {
    "oc1_event_cnt": "under-voltage",
    "oc2_event_cnt": "average over-current",
    "oc3_event_cnt": "instantaneous over-current",
}


@dataclass(frozen=True)
class Zone:
    """A thermal zone.

    Attributes:
        name: its type, such as ``tj-thermal``.
        file: temperature in thousandths of a degree Celsius.
        passive_c: its lowest passive trip point, where the kernel begins to slow the chip down; None without one.
    """

    name: str
    file: Path
    passive_c: float | None

    def read_c(self) -> float | None:
        """The temperature in degrees Celsius; None while the zone is offline."""
        value = read_number(self.file)
        return None if value is None or value / 1000 <= OFFLINE_C else value / 1000


@dataclass(frozen=True)
class Counter:
    """A file with a number that grows with every event, or an alert that is above 0 while it lasts.

    Attributes:
        name: its name in reports.
        file: the number.
    """

    name: str
    file: Path

    def read(self) -> int | None:
        """The number; None while it is not readable."""
        value = read_number(self.file)
        return None if value is None else int(value)


@dataclass(frozen=True)
class Fan:
    """The fan: its duty (0 to 255) and speed, None where the system does not tell."""

    pwm: int | None
    rpm: int | None


def find_zones(root: Path) -> list[Zone]:
    """Every thermal zone, offline ones included: they may wake up."""
    found = []
    for folder in matching(root, "/sys/class/thermal/thermal_zone*"):
        name = read_text(folder / "type")
        if name is not None:
            found.append(Zone(name, folder / "temp", _first_passive_c(folder)))
    names = [zone.name for zone in found]
    return [
        Zone(f"{zone.name}@{zone.file.parent.name}", zone.file, zone.passive_c) if names.count(zone.name) > 1 else zone
        for zone in found
    ]


def _first_passive_c(folder: Path) -> float | None:
    trips = []
    for kind in matching(folder, "trip_point_*_type"):
        value = read_number(kind.with_name(kind.name.replace("_type", "_temp")))
        # A trip point at or below 0 is one that the firmware switched off.
        if read_text(kind) == "passive" and value is not None and value > 0:
            trips.append(value / 1000)
    return min(trips, default=None)


def find_counters(root: Path) -> list[Counter]:
    """Counters of hardware throttling: over-current events of a Jetson, thermal throttling of x86 packages."""
    counters = [Counter(file.name, file) for file in matching(root, "/sys/class/hwmon/hwmon*/oc*_event_cnt")]
    packages: set[str] = set()
    for file in matching(root, "/sys/devices/system/cpu/cpu*/thermal_throttle/package_throttle_count"):
        package = read_text(file.parent.parent / "topology" / "physical_package_id") or "0"
        if package not in packages:
            packages.add(package)
            counters.append(Counter(f"package{package}_throttle_count", file))
    return counters


def find_alerts(root: Path) -> list[Counter]:
    """Cooling devices that only tell that the hardware throttles, such as ``gpu-throttle-alert``."""
    alerts = []
    for folder in matching(root, "/sys/class/thermal/cooling_device*"):
        name = read_text(folder / "type")
        if name is not None and name.endswith("throttle-alert"):
            alerts.append(Counter(name, folder / "cur_state"))
    return alerts


def read_fan(root: Path) -> Fan | None:
    """The fan; None without one."""
    pwm = rpm = None
    for folder in matching(root, "/sys/class/hwmon/hwmon*"):
        if pwm is None and "fan" in (read_text(folder / "name") or ""):
            pwm = read_number(folder / "pwm1")
        if rpm is None:
            rpm = read_number(folder / "rpm")
            rpm = read_number(folder / "fan1_input") if rpm is None else rpm
    if pwm is None and rpm is None:
        return None
    return Fan(None if pwm is None else int(pwm), None if rpm is None else int(rpm))
