"""Whether the machine ran slower than it was asked to, which makes a measurement invalid."""

from __future__ import annotations

from collections.abc import Sequence

from segkd_deploy.telemetry.sample import Header, Sample
from segkd_deploy.telemetry.thermal import OC_MEANINGS

MAX_SLOW_FRACTION = 0.01
# The clock of Orin's GPU is measured by a counter and reads a little below what was set; its steps are above 5 %.
LOCK_TOLERANCE = 0.02


def events(samples: Sequence[Sample]) -> dict[str, int]:
    """Throttle counter -> by how much it grew from its first to its last reading."""
    grown: dict[str, int] = {}
    for name in dict.fromkeys(name for sample in samples for name in sample.counters):
        values = [sample.counters[name] for sample in samples if name in sample.counters]
        grown[name] = values[-1] - values[0]
    return grown


def throttle_reasons(header: Header, samples: Sequence[Sample]) -> list[str]:
    """A sentence per way in which the machine throttled.

    The rules: a locked GPU clock stood lower for more than 1 % of the samples; a throttle counter grew; a thermal
    zone reached its first passive trip point; a throttle alert was on for more than 1 % of the samples.

    Args:
        header: what was known before the first sample.
        samples: those of the timed window.
    """
    reasons = [*_clock_reasons(header, samples), *_zone_reasons(header, samples), *_alert_reasons(samples)]
    for name, growth in events(samples).items():
        if growth > 0:
            meaning = f" ({OC_MEANINGS[name]})" if name in OC_MEANINGS else ""
            reasons.append(f"{name}{meaning} grew by {growth}")
    return reasons


def _clock_reasons(header: Header, samples: Sequence[Sample]) -> list[str]:
    if header.gpu_locked_hz is None:
        return []
    clocks = [sample.gpu_hz for sample in samples if sample.gpu_hz is not None]
    slow = [hz for hz in clocks if hz < header.gpu_locked_hz * (1 - LOCK_TOLERANCE)]
    if not clocks or len(slow) <= MAX_SLOW_FRACTION * len(clocks):
        return []
    return [
        f"the GPU's clock, locked at {header.gpu_locked_hz / 1e6:.0f} MHz, was lower in {len(slow)} of {len(clocks)} "
        f"samples, down to {min(slow) / 1e6:.0f} MHz"
    ]


def _zone_reasons(header: Header, samples: Sequence[Sample]) -> list[str]:
    reasons = []
    for name, passive_c in header.passive_c.items():
        highest_c = max((s.temperature_c[name] for s in samples if name in s.temperature_c), default=None)
        if highest_c is not None and highest_c >= passive_c:
            reasons.append(f"{name} reached {highest_c:.1f} C; it slows the chip down from {passive_c:.1f} C")
    return reasons


def _alert_reasons(samples: Sequence[Sample]) -> list[str]:
    reasons = []
    for name in dict.fromkeys(name for sample in samples for name in sample.alerts):
        count = sum(name in sample.alerts for sample in samples)
        if count > MAX_SLOW_FRACTION * len(samples):
            reasons.append(f"{name} was on in {count} of {len(samples)} samples")
    return reasons
