from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd_export.precision.calibration import (
    BINS,
    METHODS,
    TensorStatistics,
    collect_statistics,
    entropy_threshold,
    percentile_threshold,
)
from tests.export.conftest import ODD_SIZE, random_frames


def statistics(*parts: np.ndarray) -> TensorStatistics:
    seen = TensorStatistics()
    for part in parts:
        seen.update(part.astype(np.float32))
    return seen


def test_the_histogram_does_not_depend_on_the_order_of_what_it_sees() -> None:
    generator = np.random.default_rng(0)
    parts = [generator.normal(0, scale, 5000) for scale in (0.1, 3.0, 0.5)]
    seen = statistics(*parts)
    everything = np.concatenate(parts).astype(np.float32)
    assert seen.counts.sum() == 15000
    assert (seen.smallest, seen.largest) == (everything.min(), everything.max())
    # Its width is the first peak times a power of two; numpy's histogram of that width is the same but for rounding.
    assert seen.width / np.abs(parts[0].astype(np.float32)).max() == 32
    expected = np.histogram(np.abs(everything), BINS, (0, seen.width))[0]
    assert np.abs(np.cumsum(seen.counts) - np.cumsum(expected)).max() <= 2


def test_minmax_by_hand() -> None:
    assert statistics(np.array([-1.0, 2.0]), np.array([[0.5], [-4.0]])).limits("minmax") == (-4.0, 2.0)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_but_zeros(method: str) -> None:
    assert statistics(np.zeros(4), np.zeros(3)).limits(method) == (0.0, 0.0)


def test_zeros_before_the_first_value() -> None:
    seen = statistics(np.zeros(10), np.array([1.0, 2.0]))
    assert seen.counts.sum() == 12 and seen.counts[0] == 10


def test_a_percentile_leaves_outliers_out() -> None:
    values = np.append(np.linspace(-1, 1, 99_990), np.full(9, 50.0))
    low, high = statistics(values).limits("percentile")
    assert low == -1.0
    assert 1.0 <= high < 1.1
    assert statistics(np.append(values, np.full(100, 50.0))).limits("percentile")[1] == 50.0


def test_percentile_threshold_by_hand() -> None:
    assert percentile_threshold(np.array([90, 9, 0, 1]), 99.0) == 2
    assert percentile_threshold(np.array([90, 9, 0, 1]), 99.5) == 4


def test_entropy_keeps_a_uniform_range_and_cuts_far_outliers() -> None:
    uniform = np.full(BINS, 100)
    assert entropy_threshold(uniform) == BINS
    bell = (1e5 * np.exp(-((np.arange(BINS) / 100) ** 2))).astype(np.int64)
    bell[-1] = 1
    assert 200 <= entropy_threshold(bell) < 500


def test_entropy_is_not_led_by_what_a_relu_cut_off() -> None:
    bins = np.arange(BINS)
    smooth = (10_000 * np.exp(-bins / 300)).astype(np.int64)
    spiked = smooth.copy()
    spiked[0] = 100 * smooth.sum()
    assert entropy_threshold(spiked) == entropy_threshold(smooth) > 1000


def test_thresholds_stay_inside_what_was_seen() -> None:
    values = np.random.default_rng(0).exponential(1.0, 20_000)
    for method in METHODS:
        low, high = statistics(values).limits(method)
        assert low == values.astype(np.float32).min() and high <= values.astype(np.float32).max()


def test_values_that_are_not_finite_stop_it() -> None:
    with pytest.raises(SegkdError, match="not finite"):
        statistics(np.array([1.0, np.inf]))


def test_tensors_of_a_graph(float_model: Any) -> None:
    frames = random_frames(3, 2, ODD_SIZE)
    first = float_model.graph.node[0].output[0]
    logits = collect_statistics(float_model, [first, "logits"], (frame[None] for frame in frames))
    assert (logits[first].smallest, logits[first].largest) == (frames.min(), frames.max())
    assert logits[first].counts.sum() == frames.size
    assert logits["logits"].counts.sum() == 2 * 19 * 8 * 13
