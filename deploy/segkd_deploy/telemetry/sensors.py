"""All sensors of a machine, found once and then read together."""

from __future__ import annotations

import time
from pathlib import Path

from segkd_deploy.telemetry.clocks import find_clocks, gpu_clock
from segkd_deploy.telemetry.jetson import is_tegra, read_board, read_model
from segkd_deploy.telemetry.nvml import open_nvml
from segkd_deploy.telemetry.power_source import PowerSource, computer_source, jetson_source
from segkd_deploy.telemetry.rails import find_rails
from segkd_deploy.telemetry.rapl import find_energy_counters
from segkd_deploy.telemetry.sample import Header, Sample
from segkd_deploy.telemetry.thermal import find_alerts, find_counters, find_zones


class Sensors:
    """The sensors below a root.

    Args:
        root: where the system's files are.
        gpu: number of the discrete GPU to ask.

    Attributes:
        tegra: whether the machine is a Jetson.
        rails: its power rails.
        zones: its thermal zones.
        throttle_counters: its counters of throttling.
        alerts: its throttle alerts.
        clocks: its clocks.
        nvml: its discrete GPU.
        source: what its power is made of.
    """

    def __init__(self, root: Path = Path("/"), gpu: int = 0) -> None:
        self.tegra = is_tegra(root)
        self.rails = find_rails(root)
        self.zones = find_zones(root)
        self.throttle_counters = find_counters(root)
        self.alerts = find_alerts(root)
        self.clocks = find_clocks(root)
        self.nvml, nvml_reason = (None, None) if self.tegra else open_nvml(root, gpu)
        self._gpu_clock = gpu_clock(self.clocks)
        self._cpu_clock = next((clock for clock in self.clocks if clock.kind == "cpu"), None)
        self._energy_counters, rapl_reason = ([], None) if self.tegra else find_energy_counters(root)
        self.source = self._choose_source(root, [reason for reason in (rapl_reason, nvml_reason) if reason])

    def header(self, hz: float) -> Header:
        """What is known before the first sample.

        Args:
            hz: samples per second.
        """
        return Header(
            hz=hz,
            rails=self.source.rails,
            counters=self.source.counters,
            scope=self.source.scope,
            reason=self.source.reason,
            gpu_locked_hz=None if self._gpu_clock is None else self._gpu_clock.locked_hz(),
            passive_c={zone.name: zone.passive_c for zone in self.zones if zone.passive_c is not None},
        )

    def read(self) -> Sample:
        """One reading; the time is that of the power, which is read first."""
        time_ns = time.monotonic_ns()
        power_w = {rail.name: rail.read_w() for rail in self.rails}
        energy_j = {counter.name: counter.read_j() for counter in self._energy_counters}
        temperature_c = {zone.name: zone.read_c() for zone in self.zones}
        gpu_hz = None if self._gpu_clock is None else self._gpu_clock.read_hz()
        alerts = [alert.name for alert in self.alerts if alert.read()]

        if self.nvml is not None:
            power_w[self.nvml.name] = self.nvml.read_w()
            energy_j[self.nvml.name] = self.nvml.read_j()
            temperature_c[self.nvml.name] = self.nvml.read_c()
            gpu_hz = self.nvml.read_hz()
            alerts += self.nvml.slowdowns()

        counts = {counter.name: counter.read() for counter in self.throttle_counters}
        return Sample(
            time_ns=time_ns,
            power_w={name: value for name, value in power_w.items() if value is not None},
            energy_j={name: value for name, value in energy_j.items() if value is not None},
            temperature_c={name: value for name, value in temperature_c.items() if value is not None},
            gpu_hz=gpu_hz,
            cpu_hz=None if self._cpu_clock is None else self._cpu_clock.read_hz(),
            counters={name: value for name, value in counts.items() if value is not None},
            alerts=tuple(alerts),
        )

    def _choose_source(self, root: Path, reasons: list[str]) -> PowerSource:
        if self.tegra:
            return jetson_source(read_board(root), read_model(root), [rail.name for rail in self.rails])
        counters, rails = [counter.name for counter in self._energy_counters], []
        if self.nvml is not None:
            if self.nvml.read_j() is not None:
                counters.append(self.nvml.name)
            elif self.nvml.read_w() is not None:
                rails.append(self.nvml.name)
        return computer_source(counters, rails, reasons)
