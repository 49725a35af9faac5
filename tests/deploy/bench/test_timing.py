from __future__ import annotations

import dataclasses
import gc
import re

import pytest

from segkd.errors import SegkdError
from segkd_deploy.bench.scenarios import Calls
from segkd_deploy.bench.scenarios.single_stream import SingleStream
from segkd_deploy.bench.settings import PRESETS, Settings
from segkd_deploy.bench.timing import Timing, judge, measure
from tests.deploy.sleepy import SleepyRunner, frames, settings

STREAM = SingleStream()


def test_at_least_the_iterations() -> None:
    timing = measure(SleepyRunner(), frames(2), settings(7, warmup=3), STREAM)
    assert (len(timing.latencies_ns), timing.warmup_iterations, timing.settled) == (7, 3, None)


def test_and_at_least_the_seconds() -> None:
    timing = measure(SleepyRunner(0.002), frames(2), settings(1, 0.05, 0, 0.01), STREAM)
    assert timing.calls.duration_s >= 0.05
    assert 1 <= len(timing.latencies_ns) <= 25
    assert timing.warmup_iterations >= 1 and timing.warmup_s >= 0.01
    assert min(timing.latencies_ns) >= 2_000_000


def test_frames_are_cycled_in_batches_that_wrap() -> None:
    runner = SleepyRunner(batch=2)
    timing = measure(runner, frames(3), settings(3, warmup=1), STREAM, batch=2)
    assert timing.batch == 2
    assert runner.seen == [[0, 1], [0, 1], [2, 0], [0, 1]]
    assert timing.throughput_fps == pytest.approx(6 / timing.calls.duration_s)


def test_a_batch_larger_than_all_frames_repeats_them() -> None:
    runner = SleepyRunner(batch=None)
    measure(runner, frames(2), settings(1), STREAM, batch=5)
    assert runner.seen == [[0, 1, 0, 1, 0]]


def test_refuses_another_batch_than_the_graph_takes() -> None:
    with pytest.raises(SegkdError, match="batch: the graph takes 1 frames per call, got 2"):
        measure(SleepyRunner(), frames(2), settings(1), STREAM, batch=2)


def test_stages_are_kept_per_timed_call() -> None:
    timing = measure(SleepyRunner(), frames(1), settings(3, warmup=2), STREAM)
    assert timing.calls.stages()["compute"].tolist() == [3.0, 4.0, 5.0]


def test_garbage_collector_is_off_and_comes_back() -> None:
    runner = SleepyRunner()
    assert gc.isenabled()
    measure(runner, frames(1), settings(2, warmup=1), STREAM)
    assert runner.collecting == [False] * 3
    assert gc.isenabled()


def test_refuses_nothing_to_do() -> None:
    for count, iterations in ((0, 1), (1, 0)):
        with pytest.raises(SegkdError, match="at least one frame and one iteration"):
            measure(SleepyRunner(), frames(count), settings(iterations), STREAM)


class Scripted(SingleStream):
    """Calls with latencies from a list, one window after the other."""

    def __init__(self, windows: list[int]) -> None:
        self.windows = windows

    def run(self, runner, batches, out, iterations, duration_s) -> Calls:
        latency_ns = self.windows.pop(0) if self.windows else 1000
        return Calls(latencies_ns=[latency_ns] * iterations, end_ns=1_000_000)


def test_warm_up_goes_on_until_two_windows_agree() -> None:
    # 1000 -> 1500 and 1500 -> 1520 (1.3 %): the third window of 10 settles it. The first entry is the warm-up proper.
    scenario = Scripted([9999, 1000, 1500, 1520, 7000])
    timing = measure(SleepyRunner(), frames(1), settings(2, warmup=3, settle_s=60.0), scenario)
    assert (timing.warmup_iterations, timing.settled, timing.latencies_ns) == (3 + 30, True, [7000, 7000])


def test_warm_up_that_never_settles_ends_and_says_so() -> None:
    scenario = Scripted([1000 * (1 + index % 2) for index in range(10_000)])
    timing = measure(SleepyRunner(), frames(1), settings(1, settle_s=1e-9), scenario)
    assert timing.settled is False
    _, warnings = judge(timing, settings(1), SingleStream())
    assert any("did not stand still" in warning for warning in warnings)


def timing_of(latencies_ns: list[int], asked: int = 1, duration_s: float = 1000.0) -> Timing:
    calls = Calls(latencies_ns=latencies_ns, end_ns=int(duration_s * 1e9))
    return Timing(calls, 1, 0, 0.0, None, asked)


def judged(latencies_ns: list[int], chosen: Settings, **more) -> tuple[list[str], list[str]]:
    return judge(timing_of(latencies_ns, **more), chosen, STREAM)


def test_steady_measurement_is_valid_without_warnings() -> None:
    assert judged([1000] * 700, PRESETS["standard"]) == ([], [])


def test_drift_is_invalid_in_standard_and_a_warning_in_quick() -> None:
    rising = [1000] * 350 + [1040] * 350
    invalid, _ = judged(rising, PRESETS["standard"])
    assert invalid == ["the median rose by 4.0% from the first to the last quarter, above 3%"]
    assert judged(rising, PRESETS["quick"]) == (
        [],
        ["the median changed by +4.0% from the first to the last quarter"],
    )


@pytest.mark.parametrize("preset", ["quick", "standard"])
@pytest.mark.parametrize(("last", "said"), [(1940, r"\+94\.0%|rose by 94\.0%"), (600, r"-40\.0%")])
def test_a_median_that_is_another_makes_no_preset_valid(preset: str, last: int, said: str) -> None:
    invalid, _ = judged([1000] * 350 + [last] * 350, PRESETS[preset])
    assert len(invalid) == 1 and re.search(said, invalid[0])


@pytest.mark.parametrize(("change", "said"), [({"iterations": 5}, "5 calls"), ({"duration_s": 1.0}, "1 s")])
def test_what_is_shorter_than_its_preset_is_not_valid(change: dict[str, float], said: str) -> None:
    invalid, _ = judged([1000] * 700, dataclasses.replace(PRESETS["quick"], **change))
    assert len(invalid) == 1 and invalid[0].startswith(f"{said} were asked for, and preset quick takes")
    longer = dataclasses.replace(PRESETS["quick"], iterations=700, duration_s=60.0, overridden=("iterations",))
    assert judged([1000] * 700, longer)[0] == []


def test_too_few_iterations_or_seconds_are_invalid_and_p99_uncertain() -> None:
    invalid, warnings = judged([1000] * 10, PRESETS["quick"], asked=64, duration_s=2.0)
    assert invalid == ["10 iterations, 64 were asked for", "2.0 s, 30 s were asked for"]
    assert warnings == ["p99 of 10 iterations is uncertain; 662 make it 99 % certain"]


def test_unstable_latency_is_a_warning() -> None:
    _, warnings = judged([900, 1100] * 400, PRESETS["standard"])
    assert warnings == ["unstable: standard deviation is 10.0% of the mean, above 5%"]


def test_a_changed_mlperf_preset_is_no_mlperf_run() -> None:
    changed = dataclasses.replace(PRESETS["mlperf"], overridden=("duration_s",))
    _, warnings = judged([1000] * 700, changed)
    assert warnings == ["no MLPerf run: duration_s differ from the preset's"]
