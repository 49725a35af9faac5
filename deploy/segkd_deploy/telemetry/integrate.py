"""Energy from samples of power and from energy counters, by their timestamps."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from segkd_deploy.telemetry.sample import Sample


def window_of(samples: Sequence[Sample], start_ns: int | None, end_ns: int | None) -> list[Sample]:
    """The samples of a window, and the nearest one before and after it."""
    times = [sample.time_ns for sample in samples]
    first = 0 if start_ns is None else max(0, bisect_right(times, start_ns) - 1)
    last = len(samples) if end_ns is None else bisect_left(times, end_ns) + 1
    return list(samples[first:last])


def integrate_rails_j(samples: Sequence[Sample], rails: Sequence[str], start_ns: int, end_ns: int) -> float | None:
    """The area below the summed power of some rails, straight lines between samples (trapezoidal rule), in joules.

    Samples that lack one of the rails are left out.

    Returns:
        0 without rails; None if the samples do not reach from ``start_ns`` to ``end_ns``.
    """
    if not rails:
        return 0.0
    points = _points(samples, rails)
    if not _reaches(points, start_ns, end_ns):
        return None
    inner = [(time_ns, watts) for time_ns, watts in points if start_ns < time_ns < end_ns]
    line = [(start_ns, _between(points, start_ns)), *inner, (end_ns, _between(points, end_ns))]
    return sum((b_ns - a_ns) * (a_w + b_w) / 2 for (a_ns, a_w), (b_ns, b_w) in pairwise(line)) / 1e9


def integrate_counters_j(
    samples: Sequence[Sample], counters: Sequence[str], start_ns: int, end_ns: int
) -> float | None:
    """The growth of energy counters, straight lines between samples, in joules.

    Returns:
        0 without counters; None if the samples do not reach from ``start_ns`` to ``end_ns``.
    """
    total_j = 0.0
    for name in counters:
        points = [(sample.time_ns, sample.energy_j[name]) for sample in samples if name in sample.energy_j]
        if not _reaches(points, start_ns, end_ns):
            return None
        total_j += _between(points, end_ns) - _between(points, start_ns)
    return total_j


def largest_power_w(samples: Sequence[Sample], rails: Sequence[str], counters: Sequence[str]) -> float | None:
    """The largest power: the largest sample of rails, the largest mean between two samples of counters."""
    if not counters:
        return max((watts for _, watts in _points(samples, rails)), default=None) if rails else None
    largest: float | None = None
    for a, b in pairwise(samples):
        rails_j = integrate_rails_j((a, b), rails, a.time_ns, b.time_ns)
        counters_j = integrate_counters_j((a, b), counters, a.time_ns, b.time_ns)
        if rails_j is None or counters_j is None or b.time_ns <= a.time_ns:
            continue
        watts = (rails_j + counters_j) / ((b.time_ns - a.time_ns) / 1e9)
        largest = watts if largest is None else max(largest, watts)
    return largest


def _points(samples: Sequence[Sample], rails: Sequence[str]) -> list[tuple[int, float]]:
    """Time and summed power of the samples that have every rail."""
    complete = [sample for sample in samples if all(rail in sample.power_w for rail in rails)]
    return [(sample.time_ns, sum(sample.power_w[rail] for rail in rails)) for sample in complete]


def _reaches(points: Sequence[tuple[int, float]], start_ns: int, end_ns: int) -> bool:
    return bool(points) and points[0][0] <= start_ns <= end_ns <= points[-1][0]


def _between(points: Sequence[tuple[int, float]], time_ns: int) -> float:
    """The value at a time that the points reach."""
    after = bisect_left(points, time_ns, key=lambda point: point[0])
    b_ns, b_value = points[after]
    if b_ns == time_ns:
        return b_value
    a_ns, a_value = points[after - 1]
    return a_value + (b_value - a_value) * (time_ns - a_ns) / (b_ns - a_ns)
