from __future__ import annotations

from segkd_deploy.telemetry.sample import Header, Sample


def test_lines_come_back_as_they_were() -> None:
    sample = Sample(
        12345678901234567,
        power_w={"VDD_IN": 9.25},
        energy_j={"package-0": 1.5},
        temperature_c={"tj-thermal": 48.5, "cpu-thermal": 50.0},
        gpu_hz=918e6,
        counters={"oc1_event_cnt": 3},
        alerts=("gpu-throttle-alert",),
    )
    assert Sample.from_line(sample.to_line()) == sample
    assert sample.hottest_c == 50.0 and Sample(0).hottest_c is None
    header = Header(20.0, rails=("VDD_IN",), scope="module", gpu_locked_hz=918e6, passive_c={"cpu-thermal": 99.0})
    assert Header.from_line(header.to_line()) == header
