from __future__ import annotations

import gc
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segkd.errors import SegkdError
from segkd_deploy.bench import PRESETS, judge, measure
from segkd_deploy.runners import Runner, RunnerSpec


class SleepyRunner(Runner):
    """Sleeps; remembers the frames that it saw and whether the garbage collector was on."""

    def __init__(self, sleep_s: float = 0.0, batch: int = 1) -> None:
        super().__init__(Path("none"))
        self.spec = RunnerSpec(batch, 2, 2, 3)
        self.sleep_s = sleep_s
        self.seen: list[list[int]] = []
        self.collecting: list[bool] = []

    def __enter__(self) -> SleepyRunner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        return None

    def infer(self, frames: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        assert frames.flags.c_contiguous and out is not None
        self.seen.append(frames[:, 0, 0, 0].tolist())
        self.collecting.append(gc.isenabled())
        time.sleep(self.sleep_s)
        self.last_stages_ms = {"compute": float(len(self.seen))}
        return out

    def describe(self) -> dict[str, Any]:
        return {}


def frames(count: int) -> NDArray[np.uint8]:
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 2, 2, 3))


def test_at_least_the_iterations() -> None:
    timing = measure(SleepyRunner(), frames(2), iterations=7, duration_s=0, warmup_iterations=3, warmup_s=0)
    assert (len(timing.latencies_ns), timing.warmup_iterations) == (7, 3)


def test_and_at_least_the_seconds() -> None:
    timing = measure(SleepyRunner(0.002), frames(2), iterations=1, duration_s=0.05, warmup_iterations=0, warmup_s=0.01)
    assert 0.05 <= timing.duration_s < 1
    assert 1 <= len(timing.latencies_ns) <= 25
    assert timing.warmup_iterations >= 1 and timing.warmup_s >= 0.01
    assert min(timing.latencies_ns) >= 2_000_000


def test_frames_are_cycled_in_batches_that_wrap() -> None:
    runner = SleepyRunner(batch=2)
    timing = measure(runner, frames(3), iterations=3, duration_s=0, warmup_iterations=1, warmup_s=0)
    assert timing.batch == 2
    assert runner.seen == [[0, 1], [0, 1], [2, 0], [0, 1]]


def test_stages_are_means_of_the_timed_calls() -> None:
    timing = measure(SleepyRunner(), frames(1), iterations=3, duration_s=0, warmup_iterations=2, warmup_s=0)
    assert timing.stages_ms == {"compute": 4.0}  # calls 3, 4 and 5


def test_garbage_collector_is_off_and_comes_back() -> None:
    runner = SleepyRunner()
    assert gc.isenabled()
    measure(runner, frames(1), iterations=2, duration_s=0, warmup_iterations=1, warmup_s=0)
    assert runner.collecting == [False] * 3
    assert gc.isenabled()


def test_refuses_nothing_to_do() -> None:
    for count, iterations in ((0, 1), (1, 0)):
        with pytest.raises(SegkdError, match="at least one frame and one iteration"):
            measure(SleepyRunner(), frames(count), iterations=iterations, duration_s=0)


def test_steady_measurement_is_valid_without_warnings() -> None:
    assert judge([1000] * 700, PRESETS["standard"]) == ([], [])


def test_drift_is_invalid_in_standard_and_a_warning_in_quick() -> None:
    rising = [1000] * 350 + [1040] * 350
    invalid, _ = judge(rising, PRESETS["standard"])
    assert invalid == ["the median rose by 4.0% from the first to the last quarter, above 3%"]
    assert judge(rising, PRESETS["quick"]) == (
        [],
        ["the median changed by +4.0% from the first to the last quarter"],
    )


def test_too_few_iterations_are_invalid_and_p99_uncertain() -> None:
    invalid, warnings = judge([1000] * 10, PRESETS["quick"])
    assert invalid == ["10 iterations, 50 were asked for"]
    assert warnings == ["p99 of 10 iterations is uncertain; 662 make it 99 % certain"]


def test_unstable_latency_is_a_warning() -> None:
    _, warnings = judge([900, 1100] * 400, PRESETS["standard"])
    assert warnings == ["unstable: standard deviation is 10.0% of the mean, above 5%"]
