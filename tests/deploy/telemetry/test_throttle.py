from __future__ import annotations

from segkd_deploy.telemetry.sample import Header, Sample
from segkd_deploy.telemetry.telemetry import make_telemetry
from segkd_deploy.telemetry.throttle import events, throttle_reasons

LOCKED = Header(hz=20, gpu_locked_hz=918e6)


def clocks(*hz: float | None) -> list[Sample]:
    return [Sample(i, gpu_hz=value) for i, value in enumerate(hz)]


def test_locked_clock_that_fell_in_more_than_a_hundredth_of_the_samples() -> None:
    two_of_100 = clocks(*[918e6] * 98, 816e6, 714e6)
    assert throttle_reasons(LOCKED, two_of_100) == [
        "the GPU's clock, locked at 918 MHz, was lower in 2 of 100 samples, down to 714 MHz"
    ]
    assert throttle_reasons(LOCKED, clocks(*[918e6] * 99, 714e6)) == []


def test_clock_that_was_never_locked_may_move() -> None:
    assert throttle_reasons(Header(hz=20), clocks(306e6, 918e6, 306e6)) == []


def test_counted_clock_a_little_below_the_set_one_is_no_throttling() -> None:
    assert throttle_reasons(LOCKED, clocks(*[905e6] * 100)) == []
    assert len(throttle_reasons(LOCKED, clocks(*[899e6] * 100))) == 1


def test_gpu_that_is_off_is_not_slow() -> None:
    assert throttle_reasons(LOCKED, clocks(None, None)) == []
    assert len(throttle_reasons(LOCKED, clocks(None, None, 306e6))) == 1


def test_counter_that_grew() -> None:
    samples = [Sample(0, counters={"oc2_event_cnt": 2, "oc3_event_cnt": 800})]
    samples += [Sample(1), Sample(2, counters={"oc2_event_cnt": 2, "oc3_event_cnt": 813})]
    assert events(samples) == {"oc2_event_cnt": 0, "oc3_event_cnt": 13}
    assert throttle_reasons(Header(hz=20), samples) == ["oc3_event_cnt (instantaneous over-current) grew by 13"]


def test_zone_that_reached_its_first_passive_trip() -> None:
    header = Header(hz=20, passive_c={"cpu-thermal": 99.0, "gpu-thermal": 99.0})
    hot = [Sample(0, temperature_c={"cpu-thermal": 98.9, "tj": 120.0}), Sample(1, temperature_c={"cpu-thermal": 99.0})]
    assert throttle_reasons(header, hot) == ["cpu-thermal reached 99.0 C; it slows the chip down from 99.0 C"]
    assert throttle_reasons(header, hot[:1]) == []


def test_alert_that_was_on_in_more_than_a_hundredth_of_the_samples() -> None:
    samples = [Sample(i, alerts=("gpu-throttle-alert",) if i < 2 else ()) for i in range(100)]
    assert throttle_reasons(Header(hz=20), samples) == ["gpu-throttle-alert was on in 2 of 100 samples"]
    assert throttle_reasons(Header(hz=20), samples[1:]) == ["gpu-throttle-alert was on in 1 of 99 samples"]
    assert throttle_reasons(Header(hz=20), [*samples[1:], Sample(100)]) == []


def test_only_the_window_is_judged() -> None:
    samples = [Sample(i, gpu_hz=306e6 if i < 50 else 918e6, counters={"oc1_event_cnt": min(i, 40)}) for i in range(150)]
    assert make_telemetry(LOCKED, samples).throttled
    window = make_telemetry(LOCKED, samples, 60, 140)
    assert (window.throttled, window.reasons, window.thermal.events) == (False, (), {"oc1_event_cnt": 0})
