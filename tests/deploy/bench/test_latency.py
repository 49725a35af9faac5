from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkd.errors import SegkdError
from segkd_deploy.bench.latency import (
    coefficient_of_variation,
    drift,
    drift_reason,
    early_stopping,
    early_stopping_rank,
    percentile,
    summarise,
)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([15, 20, 35, 40, 50], 5, 15),  # ceil(0.05 * 5) = 1
        ([15, 20, 35, 40, 50], 30, 20),  # ceil(1.5) = 2
        ([50, 15, 40, 20, 35], 40, 20),  # ceil(2.0) = 2, in any order
        ([15, 20, 35, 40, 50], 50, 35),
        ([15, 20, 35, 40, 50], 100, 50),
        (list(range(1, 101)), 99, 99),
        (list(range(1, 101)), 99.9, 100),
        (list(range(1, 1001)), 99.9, 999),  # 0.999 * 1000 is 999 exactly, not the 999.0000000000001 of floats
        ([7], 50, 7),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_percentile_refuses_nonsense() -> None:
    with pytest.raises(SegkdError, match="at least one value"):
        percentile([], 50)
    for percent in (0, 100.1):
        with pytest.raises(SegkdError, match="above 0 and at most 100"):
            percentile([1.0], percent)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=50))
def test_summary_is_ordered_and_keeps_every_value(latencies_ns: list[int]) -> None:
    summary = summarise(latencies_ns)
    order = [summary[name] for name in ("min", "p50", "p90", "p95", "p99", "p99_9", "max")]
    assert order == sorted(order)
    assert {round(value * 1e6) for value in order} <= set(latencies_ns)
    assert summary["max"] == max(latencies_ns) / 1e6


def test_summary_by_hand() -> None:
    # 1, 2, 3 and 6 ms: mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5
    summary = summarise([6_000_000, 1_000_000, 3_000_000, 2_000_000])
    assert summary["mean"] == 3.0
    assert summary["std"] == pytest.approx(math.sqrt(3.5))
    assert (summary["min"], summary["p50"], summary["p90"], summary["max"]) == (1.0, 2.0, 6.0, 6.0)
    assert list(summary) == ["min", "mean", "std", "p50", "p90", "p95", "p99", "p99_9", "max"]


def test_summary_needs_values() -> None:
    with pytest.raises(SegkdError, match="no latency"):
        summarise([])


def test_coefficient_of_variation() -> None:
    assert coefficient_of_variation([5, 5, 5]) == 0
    assert coefficient_of_variation([1, 3]) == pytest.approx(0.5)


def test_drift_is_last_quarter_over_first() -> None:
    assert drift([100, 100, 900, 1, 1, 900, 110, 110]) == pytest.approx(0.1)
    assert drift([200] * 4 + [150] * 4) == pytest.approx(-0.25)
    assert math.isnan(drift([1] * 7))


def test_drift_of_the_median() -> None:
    assert drift_reason([100] * 8 + [104] * 8, 0.03) == (
        "the median rose by 4.0% from the first to the last quarter, above 3%"
    )
    assert drift_reason([100] * 8 + [102] * 8, 0.03) is None
    assert drift_reason([104] * 8 + [100] * 8, 0.03) is None
    assert drift_reason([1, 2], 0.03) is None
    assert drift_reason([100] * 8 + [104] * 8, 0.05) is None


@pytest.mark.parametrize(("percent", "fewest"), [(90, 64), (99, 662), (99.9, 6636)])
def test_early_stopping_needs_the_published_numbers(percent: float, fewest: int) -> None:
    assert early_stopping_rank(fewest - 1, percent) is None
    assert early_stopping_rank(fewest, percent) == 1


def test_early_stopping_by_hand() -> None:
    # 20 fair coins: at most 4 heads with probability 6196 / 2^20 = 0.0059, at most 5 with 21700 / 2^20 = 0.0207.
    assert early_stopping_rank(20, 50) == 4
    assert early_stopping_rank(20, 50, confidence=0.95) == 5
    # Of 200 values the 90th percentile lies, with 99 % confidence, not above the 10th largest or a smaller rank.
    rank = early_stopping_rank(200, 90)
    assert rank is not None
    below = sum(math.comb(200, k) * 0.1**k * 0.9 ** (200 - k) for k in range(rank + 1))
    assert below <= 0.01 < below + math.comb(200, rank + 1) * 0.1 ** (rank + 1) * 0.9 ** (199 - rank)


def test_early_stopping_takes_the_value_at_the_rank() -> None:
    latencies_ns = [index * 1_000_000 for index in range(1, 65)]
    estimate = early_stopping(latencies_ns[::-1])
    assert estimate == {"confidence": 0.99, "p90": 64.0, "p99": None, "p99_9": None}


@given(st.lists(st.integers(1, 10**9), min_size=64, max_size=200))
def test_early_stopping_is_not_below_the_percentile(latencies_ns: list[int]) -> None:
    estimate = early_stopping(latencies_ns)["p90"]
    assert estimate is not None and summarise(latencies_ns)["p90"] <= estimate <= summarise(latencies_ns)["max"]
