"""Energy per frame: all of it, and what is above the idle machine's."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from segkd.errors import SegkdError
from segkd_deploy.telemetry.telemetry import Telemetry

MIN_SAMPLES = 200
MIN_DURATION_S = 10.0
# A sampler that falls silent for this many periods leaves a hole in the energy.
MAX_GAP_PERIODS = 5.0


@dataclass(frozen=True)
class Energy:
    """Energy over a timed window, an estimate by the machine's own sensors.

    Attributes:
        rail: the sensors whose sum it is, joined by ``+``; None if there is no power.
        scope: what they feed.
        samples: samples inside the window.
        duration_s: length of the window.
        idle_w: mean power before the work began.
        mean_w: mean power within the window.
        max_w: the largest power.
        energy_j: energy of the window.
        energy_mj_per_frame: millijoules per frame.
        net_energy_mj_per_frame: the same, less what the idle machine would have used meanwhile; None without
            ``idle_w``.
        warnings: what to know when using the numbers.
        reason: why there is no power.
    """

    rail: str | None
    scope: str | None
    samples: int
    duration_s: float
    idle_w: float | None
    mean_w: float | None
    max_w: float | None
    energy_j: float | None
    energy_mj_per_frame: float | None
    net_energy_mj_per_frame: float | None
    warnings: tuple[str, ...]
    reason: str | None

    def fields(self) -> dict[str, Any]:
        """The ``power`` object of ``bench.json``."""
        return {
            "rail": self.rail,
            "scope": self.scope,
            "idle_w": self.idle_w,
            "mean_w": self.mean_w,
            "max_w": self.max_w,
            "samples": self.samples,
            "energy_mj_per_frame": self.energy_mj_per_frame,
            "net_energy_mj_per_frame": self.net_energy_mj_per_frame,
            "reason": self.reason,
        }


def energy(telemetry: Telemetry, start_ns: int, end_ns: int, frames: int, idle_w: float | None) -> Energy:
    """Energy of a timed window.

    Args:
        telemetry: samples that reach over the window.
        start_ns: its begin by ``time.monotonic_ns()``.
        end_ns: its end.
        frames: frames that were inferred in it.
        idle_w: mean power before the work began; None if it was not measured.

    Raises:
        SegkdError: for a window without length or without frames.
    """
    if frames < 1 or end_ns <= start_ns:
        raise SegkdError(f"energy: expected frames in a window, got {frames} in {(end_ns - start_ns) / 1e9:g} s")

    duration_s = (end_ns - start_ns) / 1e9
    times = [sample.time_ns for sample in telemetry.samples if start_ns <= sample.time_ns <= end_ns]
    used_j = telemetry.energy_j(start_ns, end_ns)
    if used_j is None:
        reason = telemetry.power.reason or "power is not available: the samples do not reach over the timed window"
        return Energy(None, None, len(times), duration_s, None, None, None, None, None, None, (), reason)

    net_mj = None if idle_w is None else 1e3 * (used_j - idle_w * duration_s) / frames
    return Energy(
        rail=telemetry.power.name,
        scope=telemetry.power.scope,
        samples=len(times),
        duration_s=duration_s,
        idle_w=idle_w,
        mean_w=used_j / duration_s,
        max_w=telemetry.max_w(),
        energy_j=used_j,
        energy_mj_per_frame=1e3 * used_j / frames,
        net_energy_mj_per_frame=net_mj,
        warnings=tuple(_warnings(telemetry, len(times), duration_s)),
        reason=None,
    )


def _warnings(telemetry: Telemetry, samples: int, duration_s: float) -> list[str]:
    warnings = []
    if samples < MIN_SAMPLES or duration_s < MIN_DURATION_S:
        warnings.append(
            f"energy is uncertain: {samples} power samples in {duration_s:.1f} s; "
            f"measure {MIN_SAMPLES} samples and {MIN_DURATION_S:g} s at least"
        )
    times = [sample.time_ns for sample in telemetry.samples]
    gap_s = max((b - a for a, b in pairwise(times)), default=0) / 1e9
    if gap_s > MAX_GAP_PERIODS / telemetry.hz:
        warnings.append(f"energy is uncertain: {gap_s:.2f} s without a power sample, {1 / telemetry.hz:.2f} s expected")
    return warnings
