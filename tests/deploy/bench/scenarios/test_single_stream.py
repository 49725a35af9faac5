from __future__ import annotations

import itertools

import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd_deploy.bench.scenarios import SCENARIOS, make_scenario
from segkd_deploy.bench.scenarios.single_stream import SingleStream
from segkd_deploy.graph_spec import GraphSpec
from tests.deploy.sleepy import SleepyRunner, frames, settings


def test_calls_follow_one_another() -> None:
    runner = SleepyRunner(0.001)
    batches = itertools.cycle([frames(1).copy()])
    calls = SingleStream().run(runner, batches, np.empty((1, 2, 2), np.uint8), 4, 0.0)
    ends_ns = [start + latency for start, latency in zip(calls.starts_ns, calls.latencies_ns, strict=True)]
    assert len(ends_ns) == 4
    assert calls.begin_ns <= calls.starts_ns[0] and ends_ns[-1] <= calls.end_ns
    assert all(end <= start for end, start in zip(ends_ns, calls.starts_ns[1:], strict=False))
    assert calls.services_ns() == calls.latencies_ns


def test_one_frame_or_the_smallest_batch() -> None:
    scenario = SingleStream()
    assert scenario.batch(GraphSpec(4, 2, 2, 3), None) == 4
    assert scenario.batch(GraphSpec(None, 2, 2, 3), (2, 8)) == 2
    assert scenario.iterations(settings(7, offline_frames=100), 1) == 7


def test_the_table() -> None:
    assert make_scenario("single-stream").name == "single_stream"
    for name in SCENARIOS:
        assert make_scenario(name, **({"fps": 30} if name == "fixed-rate" else {})).name == name.replace("-", "_")
    with pytest.raises(SegkdError, match="unknown scenario 'offlin'; did you mean 'offline'"):
        make_scenario("offlin")
    with pytest.raises(SegkdError, match="fixed-rate needs the camera's rate: --fps"):
        make_scenario("fixed-rate", late="drop")
    with pytest.raises(SegkdError, match="fps, late belong to --scenario fixed-rate, not to offline"):
        make_scenario("offline", fps=3, late="drop")
