from __future__ import annotations

import dataclasses

from segkd_deploy.bench.scenarios.offline import Offline
from segkd_deploy.bench.settings import PRESETS, choose_settings
from segkd_deploy.bench.timing import judge, measure
from segkd_deploy.graph_spec import GraphSpec
from tests.deploy.sleepy import SleepyRunner, frames, settings


def test_the_largest_batch() -> None:
    assert Offline().batch(GraphSpec(None, 2, 2, 3), (1, 8)) == 8
    assert Offline().batch(GraphSpec(2, 2, 2, 3), None) == 2


def test_enough_calls_for_the_frames_of_the_preset() -> None:
    assert Offline().iterations(PRESETS["mlperf"], 8) == 24_576 // 8
    assert Offline().iterations(PRESETS["mlperf"], 5) == 4916  # 4915 calls are 24575 frames
    assert Offline().iterations(PRESETS["quick"], 8) == 64
    assert Offline().iterations(choose_settings("mlperf", {"iterations": 3}), 8) == 3


def test_fewer_frames_than_the_preset_asks_for_are_invalid() -> None:
    asked = settings(3, offline_frames=10)
    fewer = measure(
        SleepyRunner(batch=2), frames(4), dataclasses.replace(asked, overridden=("iterations",)), Offline(), 2
    )
    reason = "6 frames, preset quick asks for 10 in the offline scenario"
    assert Offline().reasons(fewer.calls, asked, 2) == [reason] and reason in judge(fewer, asked, Offline())[0]
    enough = measure(SleepyRunner(batch=2), frames(4), asked, Offline(), 2)
    assert len(enough.latencies_ns) == 5 and Offline().reasons(enough.calls, asked, 2) == []
