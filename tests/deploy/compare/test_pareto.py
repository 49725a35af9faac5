"""The Pareto front, by hand and against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from segkd_deploy.compare.comparison import pareto_front


def test_by_hand() -> None:
    points = {"a": (10.0, 70.0), "b": (20.0, 75.0), "c": (15.0, 69.0), "d": (30.0, 75.0), "e": (5.0, 40.0)}
    # c costs more than a and scores less; d scores no more than b.
    assert pareto_front(points) == ["e", "a", "b"]


def test_equal_points_stay_and_equal_costs_keep_the_best() -> None:
    assert pareto_front({"b": (1.0, 2.0), "a": (1.0, 2.0), "c": (1.0, 1.0)}) == ["a", "b"]
    assert pareto_front({"a": (1.0, 2.0), "c": (2.0, 2.0)}) == ["a"]
    assert pareto_front({}) == []
    assert pareto_front({"only": (3.0, 0.0)}) == ["only"]


@pytest.mark.parametrize("seed", range(20))
def test_nothing_on_it_is_dominated_and_everything_else_is(seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 8, (30, 2)).astype(float)
    points = {str(index): (float(cost), float(score)) for index, (cost, score) in enumerate(values)}

    def dominated(name: str) -> bool:
        cost, score = points[name]
        return any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points.values())

    assert set(pareto_front(points)) == {name for name in points if not dominated(name)}
