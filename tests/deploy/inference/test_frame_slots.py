from __future__ import annotations

import pytest

from segkd_deploy.inference.frame_slots import FrameSlots


def placed(slots: FrameSlots, times_s: list[float | None]) -> list[tuple[int, bool]]:
    return [slots.next(time_s) for time_s in times_s]


@pytest.mark.parametrize("fps", [10.0, 23.976, 29.97, 60.0])
def test_an_even_rate_writes_each_frame_once(fps: float) -> None:
    slots = FrameSlots(fps, 25.0)
    # Containers round to whole milliseconds.
    assert placed(slots, [5.0 + round(1e3 * index / fps) / 1e3 for index in range(200)]) == [(0, True)] * 200
    assert slots.note() is None


def test_a_source_without_times_writes_each_frame_once() -> None:
    slots = FrameSlots(None, 25.0)
    assert slots.fps == 25.0
    assert placed(slots, [None] * 5) == [(0, True)] * 5


def test_frames_that_stand_are_repeated() -> None:
    slots = FrameSlots(10.0, 25.0)
    assert placed(slots, [0.0, 0.1, 0.5, 0.6]) == [(0, True), (0, True), (3, True), (0, True)]
    assert (slots.repeated, slots.left_out) == (3, 0)
    assert "3 were repeated and 0 left out" in str(slots.note())


def test_frames_that_come_too_soon_are_left_out() -> None:
    slots = FrameSlots(10.0, 25.0)
    written = sum(repeats + kept for repeats, kept in placed(slots, [index / 60 for index in range(120)]))
    assert 20 <= written <= 22 and slots.left_out == 120 - written


def test_a_clocks_rate_is_no_frame_rate() -> None:
    slots = FrameSlots(1000.0, 25.0)
    assert slots.fps == 30.0
    assert sum(repeats + kept for repeats, kept in placed(slots, [index / 30 for index in range(90)])) == 90


def test_a_clock_that_jumps_fills_nothing() -> None:
    slots = FrameSlots(10.0, 25.0)
    assert placed(slots, [0.0, 0.1, 7200.1, 7200.2, 7200.3]) == [(0, True)] * 5
    back = FrameSlots(10.0, 25.0)
    assert placed(back, [100.0, 100.1, 0.1, 0.2, 0.3]) == [(0, True)] * 5
