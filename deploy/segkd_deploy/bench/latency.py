"""Statistics of latencies: nothing is clipped, percentiles are values that were really measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from segkd.errors import SegkdError

PERCENTILES: dict[str, float] = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99_9": 99.9}

# Of the early stopping estimates.
CONFIDENCE = 0.99


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that at least ``percent`` % of the values do not exceed.

    Args:
        values: at least one, in any order.
        percent: above 0, at most 100.

    Raises:
        SegkdError: without values, or for a percent out of range.
    """
    if not values:
        raise SegkdError("a percentile needs at least one value")
    if not 0 < percent <= 100:
        raise SegkdError(f"percent: expected above 0 and at most 100, got {percent}")
    # In hundredths of a percent the rank is exact: 99.9 / 100 * 1000 is a little above 999 in floating point.
    rank = -(-round(percent * 100) * len(values) // 10_000)
    return float(sorted(values)[rank - 1])


def summarise(latencies_ns: Sequence[int]) -> dict[str, float]:
    """Latency statistics in milliseconds.

    Returns:
        ``min``, ``mean``, ``std`` (of the population), ``p50``, ``p90``, ``p95``, ``p99``, ``p99_9``, ``max``.

    Raises:
        SegkdError: without values.
    """
    if not latencies_ns:
        raise SegkdError("no latency was measured")
    values_ms = np.asarray(latencies_ns, np.float64) / 1e6
    ordered = sorted(values_ms.tolist())
    summary = {"min": ordered[0], "mean": float(values_ms.mean()), "std": float(values_ms.std())}
    summary.update({name: percentile(ordered, percent) for name, percent in PERCENTILES.items()})
    return {**summary, "max": ordered[-1]}


def coefficient_of_variation(latencies_ns: Sequence[int]) -> float:
    """Standard deviation (of the population) over mean.

    Raises:
        SegkdError: without values.
    """
    summary = summarise(latencies_ns)
    return summary["std"] / summary["mean"] if summary["mean"] else 0.0


def drift(latencies_ns: Sequence[int]) -> float:
    """Median of the last quarter over the median of the first, minus 1: heat and throttling make it grow.

    Returns:
        nan for fewer than 8 values.
    """
    quarter = len(latencies_ns) // 4
    if quarter < 2:
        return math.nan
    first, last = np.median(latencies_ns[:quarter]), np.median(latencies_ns[-quarter:])
    return float(last / first - 1) if first else math.nan


def drift_reason(latencies_ns: Sequence[int], max_drift: float) -> str | None:
    """A sentence if the median latency rose too much from the first to the last quarter, as it does in heat.

    Args:
        latencies_ns: in the order in which they were measured; fewer than 8 tell nothing.
        max_drift: the largest rise, relative to the first quarter.
    """
    change = drift(latencies_ns)
    if not change > max_drift:
        return None
    return f"the median rose by {change:.1%} from the first to the last quarter, above {max_drift:.0%}"


def early_stopping_rank(count: int, percent: float, confidence: float = CONFIDENCE) -> int | None:
    """How many of the largest values MLPerf's early stopping sets aside, less one.

    Of ``count`` independent values the number above the true percentile is binomial. The rank is the largest t for
    which "at most t of them" has a probability of at most ``1 - confidence``; the t-th largest value is then, with
    that confidence, no smaller than the true percentile.

    Args:
        count: number of values.
        percent: above 0, below 100.
        confidence: probability that the estimate is not too small.

    Returns:
        The rank, at least 1; None if there are too few values (p90: 64, p99: 662, p99.9: 6636).

    Source: MLPerf Inference rules, appendix "Early Stopping Criterion", with tolerance d = 0, which defines it through
    the incomplete beta function; the tail of the binomial is the same number.
    """
    log_above, log_below = math.log(1 - percent / 100), math.log(percent / 100)
    tail, rank = 0.0, -1
    for above in range(count + 1):
        ways = math.lgamma(count + 1) - math.lgamma(above + 1) - math.lgamma(count - above + 1)
        tail += math.exp(ways + above * log_above + (count - above) * log_below)
        if tail > 1 - confidence:
            break
        rank = above
    return rank if rank >= 1 else None


def early_stopping(latencies_ns: Sequence[int]) -> dict[str, float | None]:
    """Percentiles in milliseconds that are, with 99 % confidence, not too small.

    Returns:
        ``confidence`` and, for ``p90``, ``p99`` and ``p99_9``, the estimate; None where there are too few values.
    """
    ordered = sorted(latencies_ns)
    result: dict[str, float | None] = {"confidence": CONFIDENCE}
    for name in ("p90", "p99", "p99_9"):
        rank = early_stopping_rank(len(ordered), PERCENTILES[name])
        result[name] = None if rank is None else ordered[-rank] / 1e6
    return result
