"""The clock is a stand-in, so that every deadline is exact."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd_deploy.bench.scenarios import Calls, fixed_rate
from segkd_deploy.bench.scenarios.fixed_rate import FixedRate
from tests.deploy.sleepy import SleepyRunner, frames, settings

MS = 1_000_000


class Clock:
    """Time that only sleeping and calls move; 10 ms per period of 100 frames per second."""

    def __init__(self) -> None:
        self.now_ns = 5 * MS

    def perf_counter_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


class Scripted(SleepyRunner):
    """Each call takes the next time of a list, then 1 ms."""

    def __init__(self, clock: Clock, calls_ms: list[int]) -> None:
        super().__init__()
        self.clock, self.calls_ms = clock, calls_ms

    def infer(self, frames, out=None):
        self.clock.now_ns += MS * (self.calls_ms.pop(0) if self.calls_ms else 1)
        self.seen.append(frames[:, 0, 0, 0].tolist())
        self.last_stages_ms = {}
        return out


def run(monkeypatch: pytest.MonkeyPatch, calls_ms: list[int], duration_s: float, **options) -> tuple[FixedRate, Calls]:
    clock = Clock()
    monkeypatch.setattr(fixed_rate, "time", clock)
    scenario = FixedRate(100, **options)
    batches = itertools.cycle([frame[None] for frame in frames(200).copy()])
    return scenario, scenario.run(Scripted(clock, calls_ms), batches, np.empty((1, 2, 2), np.uint8), 1, duration_s)


def test_frames_are_due_every_period(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, calls = run(monkeypatch, [], 0.05)
    assert [due - calls.begin_ns for due in calls.due_ns] == [0, 10 * MS, 20 * MS, 30 * MS, 40 * MS]
    assert calls.starts_ns == calls.due_ns and calls.latencies_ns == [MS] * 5
    assert calls.duration_s == 0.05  # 5 frames at 100 per second
    results = scenario.results(calls, 1)
    assert (results["frames_due"], results["missed"], results["dropped"]) == (5, 0, 0)
    assert results["utilisation"] == pytest.approx(0.1)


def test_latency_counts_the_time_that_a_frame_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    # Frame 0 takes 15 ms; frame 1 was due at 10, begins at 15, and has its labels at 16: 6 ms after it was due.
    scenario, calls = run(monkeypatch, [15], 0.04)
    assert calls.latencies_ns == [15 * MS, 6 * MS, MS, MS]
    assert calls.services_ns() == [15 * MS, MS, MS, MS]
    results = scenario.results(calls, 1)
    assert (results["late"], results["dropped"], results["missed"], results["missed_fraction"]) == (1, 0, 1, 0.25)


def test_drop_keeps_the_newest_frame_only(monkeypatch: pytest.MonkeyPatch) -> None:
    # Frame 0 takes 35 ms. At 35, frames 1 (10), 2 (20) and 3 (30) are there: 3 is labelled, 1 and 2 are dropped.
    scenario, calls = run(monkeypatch, [35], 0.06)
    assert [due - calls.begin_ns for due in calls.due_ns] == [0, 30 * MS, 40 * MS, 50 * MS]
    assert calls.latencies_ns == [35 * MS, 6 * MS, MS, MS]
    results = scenario.results(calls, 1)
    assert (results["frames_due"], results["labelled"], results["dropped"], results["missed"]) == (6, 4, 2, 3)
    assert scenario.reasons(calls, settings(), 1) == []


def test_queue_labels_every_frame_however_late(monkeypatch: pytest.MonkeyPatch) -> None:
    # 0 ends at 35; 1, 2 and 3 follow at 36, 37 and 38, which is 26, 17 and 8 ms after they were due.
    scenario, calls = run(monkeypatch, [35], 0.06, late="queue")
    assert calls.latencies_ns == [35 * MS, 26 * MS, 17 * MS, 8 * MS, MS, MS]
    assert scenario.results(calls, 1)["missed"] == 3  # 35, 26 and 17 ms


def test_the_deadline_may_be_another(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, calls = run(monkeypatch, [35], 0.06, late="queue", deadline_ms=26)
    assert scenario.results(calls, 1)["late"] == 1  # exactly at the deadline is in time
    assert scenario.describe() == {"fps": 100, "deadline_ms": 26, "late": "queue"}


def test_a_queue_that_grows_without_end_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, calls = run(monkeypatch, [12] * 100, 0.2, late="queue")
    (reason,) = scenario.reasons(calls, settings(), 1)
    assert "a call takes 12 ms and frames come every 10 ms" in reason
    scenario, calls = run(monkeypatch, [12] * 100, 0.2, late="drop")
    assert scenario.reasons(calls, settings(), 1) == []
    assert scenario.results(calls, 1)["missed_fraction"] == 1


def test_a_queue_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    # 200 frames in 2 s, 100 ms each, would take 20 s. It ends at the first call above 2 * 2 s + 1 s.
    scenario, calls = run(monkeypatch, [100] * 300, 2.0, late="queue")
    assert len(calls.latencies_ns) == 51 and calls.duration_s == pytest.approx(5.1)
    (reason,) = scenario.reasons(calls, settings(duration_s=2.0), 1)
    assert reason.endswith("use --late drop (stopped after 5.1 s, with 51 of 200 frames labelled)")


def test_a_queue_that_is_late_but_ends_is_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    # One call of 4 s; the 199 after it take 1 ms each, which is less than the 5 s.
    scenario, calls = run(monkeypatch, [4000], 2.0, late="queue")
    assert len(calls.latencies_ns) == 200
    assert scenario.results(calls, 1)["labelled"] == 200


def test_at_least_the_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    _, calls = run(monkeypatch, [], 0.0)
    assert len(calls.latencies_ns) == 1


def test_refuses_nonsense() -> None:
    with pytest.raises(SegkdError, match="fps: expected above 0, got 0"):
        FixedRate(0)
    with pytest.raises(SegkdError, match="deadline: expected above 0 ms, got -1"):
        FixedRate(30, deadline_ms=-1)
    with pytest.raises(SegkdError, match="unknown treatment of late frames 'dorp'; did you mean 'drop'"):
        FixedRate(30, late="dorp")


def test_period_with_the_real_clock() -> None:
    runner = SleepyRunner()
    calls = FixedRate(200).run(runner, itertools.cycle([frames(1).copy()]), np.empty((1, 2, 2), np.uint8), 1, 0.05)
    assert all(start >= due for start, due in zip(calls.starts_ns, calls.due_ns, strict=True))
    assert len(calls.latencies_ns) + calls.dropped >= 10
