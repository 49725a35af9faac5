from __future__ import annotations

import pytest

from segkd.errors import SegkdError
from segkd_deploy.bench.latency import early_stopping_rank
from segkd_deploy.bench.settings import P90_ITERATIONS, P99_ITERATIONS, PRESETS, choose_settings


def test_presets_are_the_published_ones() -> None:
    assert {name: preset.duration_s for name, preset in PRESETS.items()} == {"quick": 30, "standard": 60, "mlperf": 600}
    assert PRESETS["mlperf"].offline_frames == 24_576
    assert {preset.preset for preset in PRESETS.values()} == PRESETS.keys()


def test_iterations_are_the_fewest_that_early_stopping_takes() -> None:
    for iterations, percent in ((P90_ITERATIONS, 90), (P99_ITERATIONS, 99)):
        assert early_stopping_rank(iterations - 1, percent) is None
        assert early_stopping_rank(iterations, percent) == 1


def test_bounds_win_and_are_named() -> None:
    settings = choose_settings("standard", {"iterations": 20, "duration_s": 0.0, "cold_starts": None})
    assert (settings.iterations, settings.duration_s, settings.cold_starts) == (20, 0.0, 5)
    assert settings.overridden == ("duration_s", "iterations")
    assert settings.settle_s == PRESETS["standard"].settle_s


def test_a_warm_up_that_is_given_is_exact() -> None:
    assert choose_settings("standard", {"warmup_s": 1.0}).settle_s == 0


def test_unknown_names() -> None:
    with pytest.raises(SegkdError, match="unknown preset 'quik'; did you mean 'quick'"):
        choose_settings("quik", {})
    with pytest.raises(SegkdError, match="unknown bound 'iteration'"):
        choose_settings("quick", {"iteration": 3})
