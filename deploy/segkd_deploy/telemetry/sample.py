"""One reading of every sensor at one moment, and its form in the sampling process's output."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Sample:
    """What the sensors said.

    Attributes:
        time_ns: ``time.monotonic_ns()``, which all processes of a machine share.
        power_w: rail -> watts.
        energy_j: counter -> joules since the sampling process began.
        temperature_c: thermal zone -> degrees Celsius; zones that are off are left out.
        gpu_hz: the GPU's clock; None if it has none or is off.
        cpu_hz: the clock of the first processor.
        counters: throttle counter -> events since the machine started.
        alerts: names of the throttle alerts that are on.
    """

    time_ns: int
    power_w: dict[str, float] = field(default_factory=dict)
    energy_j: dict[str, float] = field(default_factory=dict)
    temperature_c: dict[str, float] = field(default_factory=dict)
    gpu_hz: float | None = None
    cpu_hz: float | None = None
    counters: dict[str, int] = field(default_factory=dict)
    alerts: tuple[str, ...] = ()

    @property
    def hottest_c(self) -> float | None:
        """The temperature of the hottest zone."""
        return max(self.temperature_c.values(), default=None)

    def to_line(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> Sample:
        """Reads what ``to_line`` wrote."""
        content = json.loads(line)
        return cls(**{**content, "alerts": tuple(content["alerts"])})


@dataclass(frozen=True)
class Header:
    """What is known before the first sample.

    Attributes:
        hz: samples per second.
        rails: see ``PowerSource``.
        counters: see ``PowerSource``.
        scope: see ``PowerSource``.
        reason: see ``PowerSource``.
        gpu_locked_hz: where the GPU's clock is locked; None if it may move.
        passive_c: thermal zone -> its first passive trip point.
    """

    hz: float
    rails: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    scope: str | None = None
    reason: str | None = None
    gpu_locked_hz: float | None = None
    passive_c: dict[str, float] = field(default_factory=dict)

    def to_line(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> Header:
        """Reads what ``to_line`` wrote."""
        content = json.loads(line)
        return cls(**{**content, "rails": tuple(content["rails"]), "counters": tuple(content["counters"])})
