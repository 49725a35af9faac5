"""The state of the device at one moment: what a latency depends on and a report must say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segkd_deploy.chips import CHIPS
from segkd_deploy.telemetry.clocks import clocks_locked
from segkd_deploy.telemetry.jetson import (
    PowerMode,
    read_board,
    read_cuda,
    read_jetpack,
    read_l4t,
    read_model,
    read_power_mode,
)
from segkd_deploy.telemetry.sensors import Sensors
from segkd_deploy.telemetry.thermal import Fan, read_fan

KINDS = ("gpu", "emc", "cpu")


@dataclass(frozen=True)
class DeviceState:
    """What the system's files say now; what it does not have is None or empty.

    Attributes:
        model: the board's name in the device tree.
        board: the module, a key of ``segkd_deploy.chips.CHIPS``.
        l4t: L4T version.
        jetpack: JetPack version.
        cuda: version of the CUDA toolkit.
        sm: compute capability of the GPU.
        power_mode: the mode of nvpmodel.
        clocks: ``gpu``, ``emc`` and ``cpu`` -> their clocks in MHz, bounds and governors.
        clocks_locked: whether every readable clock is locked.
        temperature_c: thermal zone -> degrees Celsius.
        passive_c: thermal zone -> first passive trip point.
        throttle_events: throttle counter -> events since the start of the machine.
        throttle_alerts: throttle alerts that are on.
        rails_w: power rail -> watts.
        rail_alarms: over-current alarms that are on, as ``RAIL: file``.
        power: what the total power is made of, or why there is none.
        fan: duty and speed.
        gpu: the discrete GPU, as NVML tells.
    """

    model: str | None
    board: str | None
    l4t: str | None
    jetpack: str | None
    cuda: str | None
    sm: str | None
    power_mode: PowerMode | None
    clocks: dict[str, list[dict[str, Any]]]
    clocks_locked: bool | None
    temperature_c: dict[str, float]
    passive_c: dict[str, float]
    throttle_events: dict[str, int]
    throttle_alerts: list[str]
    rails_w: dict[str, float]
    rail_alarms: list[str]
    power: dict[str, Any]
    fan: Fan | None
    gpu: dict[str, Any] | None

    def clock_mhz(self, kind: str) -> float | None:
        """The present frequency of the first clock of a kind: ``gpu``, ``emc`` or ``cpu``."""
        value: float | None = next((clock["mhz"] for clock in self.clocks.get(kind, [])), None)
        return value

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def read_state(root: Path = Path("/"), gpu: int = 0) -> DeviceState:
    """Read the state of the machine.

    Args:
        root: where the system's files are.
        gpu: number of the discrete GPU.
    """
    sensors = Sensors(root, gpu)
    sample = sensors.read()
    board = read_board(root) if sensors.tegra else None
    discrete = None if sensors.nvml is None else sensors.nvml.to_dict()
    source = sensors.source

    return DeviceState(
        model=read_model(root),
        board=board,
        l4t=read_l4t(root),
        jetpack=read_jetpack(root),
        cuda=read_cuda(root),
        sm=CHIPS[board].sm if board is not None else (discrete or {}).get("sm"),
        power_mode=read_power_mode(root),
        clocks={kind: [clock.to_dict() for clock in sensors.clocks if clock.kind == kind] for kind in KINDS},
        clocks_locked=clocks_locked(sensors.clocks),
        temperature_c=sample.temperature_c,
        passive_c={zone.name: zone.passive_c for zone in sensors.zones if zone.passive_c is not None},
        throttle_events=sample.counters,
        throttle_alerts=list(sample.alerts),
        rails_w=sample.power_w,
        rail_alarms=[f"{rail.name}: {alarm}" for rail in sensors.rails for alarm in rail.alarmed()],
        power={"rail": source.name, "scope": source.scope, "reason": source.reason},
        fan=read_fan(root),
        gpu=discrete,
    )
