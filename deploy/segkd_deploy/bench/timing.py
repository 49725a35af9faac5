"""Timing a runner: real frames in turn, a warm-up until the median stands still, the tail kept."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError
from segkd_deploy.bench.latency import coefficient_of_variation, drift, drift_reason
from segkd_deploy.bench.scenarios import Calls, Scenario
from segkd_deploy.bench.scenarios.base import Frames, batches_of
from segkd_deploy.bench.settings import P99_ITERATIONS, WARNING_DRIFT, WORTHLESS_DRIFT, Settings, shortened
from segkd_deploy.runners import Runner

UNSTABLE_VARIATION = 0.05
# The warm-up is over when the medians of two windows of calls, one after the other, differ by less.
SETTLED_CHANGE = 0.02
SETTLING_CALLS = 10


@dataclass(frozen=True)
class Timing:
    """What ``measure`` measured.

    Attributes:
        calls: the timed calls.
        batch: frames per call.
        warmup_iterations: calls before them.
        warmup_s: how long those took.
        settled: whether the median stood still before the timed calls; None if it was not waited for.
        asked: calls that were asked for.
    """

    calls: Calls
    batch: int
    warmup_iterations: int
    warmup_s: float
    settled: bool | None
    asked: int

    @property
    def latencies_ns(self) -> list[int]:
        """Of every timed call, in order."""
        return self.calls.latencies_ns

    @property
    def throughput_fps(self) -> float:
        """Frames that were labelled per second of the timed window."""
        return len(self.latencies_ns) * self.batch / self.calls.duration_s


def measure(
    runner: Runner, frames: NDArray[np.uint8], settings: Settings, scenario: Scenario, batch: int = 1
) -> Timing:
    """Time ``runner.infer`` on frames in turn, with the garbage collector off.

    Args:
        runner: an open runner.
        frames: uint8, at least one, of the shape ``runner.spec.frames_shape(N)``.
        settings: how long.
        scenario: how frames come.
        batch: frames per call.

    Raises:
        SegkdError: without frames or iterations, or for frames or a batch that the runner refuses.
    """
    asked = scenario.iterations(settings, batch)
    if not len(frames) or asked < 1:
        raise SegkdError(f"expected at least one frame and one iteration, got {len(frames)} and {asked}")
    if runner.spec.batch not in (None, batch):
        raise SegkdError(f"batch: the graph takes {runner.spec.batch} frames per call, got {batch}")

    batches = batches_of(frames, batch)
    out = np.empty(runner.spec.labels_shape(batch), np.uint8)

    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        start_s = time.perf_counter()
        warm = scenario.run(runner, itertools.cycle(batches), out, settings.warmup_iterations, settings.warmup_s)
        more, settled = _settle(runner, itertools.cycle(batches), out, scenario, settings.settle_s)
        warmup_s = time.perf_counter() - start_s
        calls = scenario.run(runner, itertools.cycle(batches), out, asked, settings.duration_s)
    finally:
        if collecting:
            gc.enable()
    return Timing(calls, batch, len(warm.latencies_ns) + more, warmup_s, settled, asked)


def _settle(
    runner: Runner, batches: Iterator[Frames], out: Frames, scenario: Scenario, longest_s: float
) -> tuple[int, bool | None]:
    """Go on until two windows agree or the time is up; the number of calls, and whether they agreed."""
    if longest_s <= 0:
        return 0, None
    deadline_s = time.perf_counter() + longest_s
    windows: list[float] = []
    while True:
        calls = scenario.run(runner, batches, out, SETTLING_CALLS, 0.0)
        windows.append(statistics.median(calls.services_ns()))
        if len(windows) > 1 and abs(windows[-1] / windows[-2] - 1) < SETTLED_CHANGE:
            return len(windows) * SETTLING_CALLS, True
        if time.perf_counter() >= deadline_s:
            return len(windows) * SETTLING_CALLS, False


def judge(timing: Timing, settings: Settings, scenario: Scenario) -> tuple[list[str], list[str]]:
    """Why a measurement must not be used, and what to know when using it.

    Returns:
        Reasons that make it invalid, and warnings.
    """
    latencies_ns, duration_s = timing.latencies_ns, timing.calls.duration_s
    invalid, warnings = scenario.reasons(timing.calls, settings, timing.batch), []
    if len(latencies_ns) < timing.asked:
        invalid.append(f"{len(latencies_ns)} iterations, {timing.asked} were asked for")
    if duration_s < settings.duration_s:
        invalid.append(f"{duration_s:.1f} s, {settings.duration_s:g} s were asked for")

    invalid += shortened(dataclasses.asdict(settings))
    rise = None if settings.max_drift is None else drift_reason(latencies_ns, settings.max_drift)
    if rise is not None:
        invalid.append(rise)
    elif abs(change := drift(latencies_ns)) > WORTHLESS_DRIFT:
        invalid.append(
            f"the median changed by {change:+.1%} from the first to the last quarter, above {WORTHLESS_DRIFT:.0%}: p99 "
            "says nothing; measure again when the machine is quiet"
        )
    elif abs(change) > WARNING_DRIFT:
        warnings.append(f"the median changed by {change:+.1%} from the first to the last quarter")

    if timing.settled is False:
        warnings.append(f"the median did not stand still within {timing.warmup_s:.1f} s of warm-up")
    variation = coefficient_of_variation(latencies_ns)
    if variation > UNSTABLE_VARIATION:
        warnings.append(f"unstable: standard deviation is {variation:.1%} of the mean, above {UNSTABLE_VARIATION:.0%}")
    if len(latencies_ns) < P99_ITERATIONS:
        warnings.append(f"p99 of {len(latencies_ns)} iterations is uncertain; {P99_ITERATIONS} make it 99 % certain")
    if settings.preset == "mlperf" and settings.overridden:
        warnings.append(f"no MLPerf run: {', '.join(settings.overridden)} differ from the preset's")
    return invalid, warnings
