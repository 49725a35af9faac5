"""What was sampled in a window: power, heat, and whether the machine throttled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segkd_deploy.telemetry.integrate import integrate_counters_j, integrate_rails_j, largest_power_w, window_of
from segkd_deploy.telemetry.power_source import PowerSource
from segkd_deploy.telemetry.sample import Header, Sample
from segkd_deploy.telemetry.throttle import events, throttle_reasons


@dataclass(frozen=True)
class Thermal:
    """Heat over a window.

    Attributes:
        start_c: the hottest zone at the first sample; None without zones.
        max_c: the hottest zone of all samples.
        throttled: whether any rule of ``throttle`` held.
        events: throttle counter -> growth.
    """

    start_c: float | None
    max_c: float | None
    throttled: bool
    events: dict[str, int]

    def fields(self) -> dict[str, Any]:
        """The ``thermal`` object of ``bench.json``."""
        return {
            "start_c": self.start_c,
            "max_c": self.max_c,
            "throttled": self.throttled,
            "events": dict(self.events),
        }


@dataclass(frozen=True)
class Telemetry:
    """Samples of a window and what follows from them.

    Attributes:
        samples: those of the window, and the nearest one before and after it.
        hz: the rate that was asked for.
        power: what the power covers, or why there is none.
        thermal: heat.
        throttled: whether the machine ran slower than asked.
        reasons: why, a sentence each; they make a measurement invalid.
    """

    samples: tuple[Sample, ...]
    hz: float
    power: PowerSource
    thermal: Thermal
    throttled: bool
    reasons: tuple[str, ...]

    def energy_j(self, start_ns: int, end_ns: int) -> float | None:
        """Energy within a window in joules; None without power, or where the samples do not reach."""
        rails_j = integrate_rails_j(self.samples, self.power.rails, start_ns, end_ns)
        counters_j = integrate_counters_j(self.samples, self.power.counters, start_ns, end_ns)
        if self.power.name is None or rails_j is None or counters_j is None:
            return None
        return rails_j + counters_j

    def mean_w(self, start_ns: int, end_ns: int) -> float | None:
        """Mean power within a window; None as for ``energy_j``."""
        used_j = self.energy_j(start_ns, end_ns)
        return None if used_j is None else used_j / ((end_ns - start_ns) / 1e9)

    def max_w(self) -> float | None:
        """The largest power: of a sample, or for counters of the time between two samples."""
        return largest_power_w(self.samples, self.power.rails, self.power.counters)


def make_telemetry(
    header: Header, samples: Sequence[Sample], start_ns: int | None = None, end_ns: int | None = None
) -> Telemetry:
    """Cut out a window and judge it.

    Args:
        header: what was known before the first sample.
        samples: in the order of their time.
        start_ns: begin of the window; None for the first sample.
        end_ns: its end; None for the last sample.
    """
    cut = window_of(samples, start_ns, end_ns)
    reasons = throttle_reasons(header, cut)
    temperatures = [sample.hottest_c for sample in cut if sample.hottest_c is not None]
    thermal = Thermal(
        start_c=temperatures[0] if temperatures else None,
        max_c=max(temperatures, default=None),
        throttled=bool(reasons),
        events=events(cut),
    )
    source = PowerSource(header.rails, header.counters, header.scope, header.reason)
    return Telemetry(tuple(cut), header.hz, source, thermal, bool(reasons), tuple(reasons))
