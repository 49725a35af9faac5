from __future__ import annotations

import pytest

from segkd_deploy.telemetry.integrate import (
    integrate_counters_j,
    integrate_rails_j,
    largest_power_w,
    window_of,
)
from segkd_deploy.telemetry.sample import Sample

S = 1_000_000_000


def powers(*points: tuple[float, float]) -> list[Sample]:
    return [Sample(int(time_s * S), power_w={"A": watts}) for time_s, watts in points]


def test_trapezoids_of_uneven_steps() -> None:
    # 10 W to 20 W in 1 s is 15 J; 20 W for 3 s is 60 J.
    samples = powers((0, 10), (1, 20), (4, 20))
    assert integrate_rails_j(samples, ["A"], 0, 4 * S) == pytest.approx(75)


def test_edges_of_the_window_are_between_samples() -> None:
    # From 15 W at 0.5 s to 20 W at 1 s: 8.75 J; 20 W for 1 s: 20 J.
    samples = powers((0, 10), (1, 20), (4, 20))
    assert integrate_rails_j(samples, ["A"], S // 2, 2 * S) == pytest.approx(28.75)
    # A window inside one step: 12 W to 14 W in 0.2 s.
    assert integrate_rails_j(samples, ["A"], S // 5, 2 * S // 5) == pytest.approx(2.6)


def test_parts_add_up_to_the_whole() -> None:
    samples = powers((0, 3), (0.7, 9), (1.1, 4), (2, 5))
    whole = integrate_rails_j(samples, ["A"], 0, 2 * S)
    parts = [integrate_rails_j(samples, ["A"], a, b) for a, b in ((0, S // 3), (S // 3, S), (S, 2 * S))]
    assert whole is not None and sum(part for part in parts if part is not None) == pytest.approx(whole)


def test_rails_are_summed_and_incomplete_samples_left_out() -> None:
    samples = [
        Sample(0, power_w={"A": 1.0, "B": 2.0}),
        Sample(S, power_w={"A": 100.0}),
        Sample(2 * S, power_w={"A": 3.0, "B": 4.0}),
    ]
    assert integrate_rails_j(samples, ["A", "B"], 0, 2 * S) == pytest.approx(10)


def test_window_that_the_samples_do_not_reach_has_no_energy() -> None:
    samples = powers((1, 10), (2, 10))
    assert integrate_rails_j(samples, ["A"], 0, 2 * S) is None
    assert integrate_rails_j(samples, ["A"], S, 3 * S) is None
    assert integrate_rails_j([], ["A"], 0, S) is None
    assert integrate_rails_j(samples, [], 0, 3 * S) == 0.0


def test_counters_by_their_growth() -> None:
    samples = [
        Sample(0, energy_j={"package-0": 5.0, "dram-0": 1.0}),
        Sample(2 * S, energy_j={"package-0": 45.0, "dram-0": 3.0}),
    ]
    # 20 W and 1 W over 0.5 s.
    assert integrate_counters_j(samples, ["package-0", "dram-0"], S, 3 * S // 2) == pytest.approx(10.5)
    assert integrate_counters_j(samples, ["package-1"], S, 3 * S // 2) is None


def test_largest_power() -> None:
    assert largest_power_w(powers((0, 10), (1, 30), (2, 20)), ["A"], []) == 30
    energies = [Sample(0, energy_j={"c": 0.0}), Sample(S, energy_j={"c": 10.0}), Sample(2 * S, energy_j={"c": 35.0})]
    assert largest_power_w(energies, [], ["c"]) == pytest.approx(25)
    assert largest_power_w(energies, [], []) is None
    assert largest_power_w([], ["A"], []) is None


def test_window_keeps_a_sample_on_either_side() -> None:
    samples = powers((0, 1), (1, 1), (2, 1), (3, 1), (4, 1))

    def seconds(start_ns: int | None, end_ns: int | None) -> list[int]:
        return [sample.time_ns // S for sample in window_of(samples, start_ns, end_ns)]

    assert seconds(3 * S // 2, 5 * S // 2) == [1, 2, 3]
    assert seconds(S, 2 * S) == [1, 2]
    assert seconds(None, None) == [0, 1, 2, 3, 4]
    assert seconds(-S, 9 * S) == [0, 1, 2, 3, 4]
