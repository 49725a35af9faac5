from __future__ import annotations

from pathlib import Path

from segkd_deploy.telemetry.thermal import Fan, find_alerts, find_counters, find_zones, read_fan
from tests.deploy.telemetry.trees import agx_orin, computer, orin_nano, thor


def test_offline_zones_have_no_temperature(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    zones = {zone.name: zone.read_c() for zone in find_zones(tmp_path)}
    # cv0 answers -256 C, cv1 refuses to be read (EAGAIN on a device).
    expected = {"cpu-thermal": 48.5, "gpu-thermal": 47.0, "cv0-thermal": None, "cv1-thermal": None, "tj-thermal": 48.5}
    assert zones == expected


def test_a_zone_that_wakes_up_is_read(tmp_path: Path) -> None:
    tree = agx_orin(tmp_path)
    gpu = next(zone for zone in find_zones(tmp_path) if zone.name == "gpu-thermal")
    assert gpu.read_c() is None
    tree.write("/sys/class/thermal/thermal_zone1/temp", 55250)
    assert gpu.read_c() == 55.25


def test_first_passive_trip_is_the_lowest_that_is_on(tmp_path: Path) -> None:
    tree = orin_nano(tmp_path)
    folder = "/sys/class/thermal/thermal_zone0"
    for trip, value in ((3, 95000), (4, -274000), (5, 0)):
        tree.write(f"{folder}/trip_point_{trip}_type", "passive")
        tree.write(f"{folder}/trip_point_{trip}_temp", value)
    trips = {zone.name: zone.passive_c for zone in find_zones(tmp_path)}
    assert trips == {
        "cpu-thermal": 95.0,
        "gpu-thermal": 99.0,
        "cv0-thermal": 99.0,
        "cv1-thermal": None,
        "tj-thermal": None,
    }


def test_zones_of_one_type_are_told_apart(tmp_path: Path) -> None:
    computer(tmp_path)
    assert [zone.name for zone in find_zones(tmp_path)] == ["acpitz@thermal_zone0", "acpitz@thermal_zone1"]


def test_over_current_counters(tmp_path: Path) -> None:
    thor(tmp_path)
    counts = {counter.name: counter.read() for counter in find_counters(tmp_path)}
    assert counts == {"oc1_event_cnt": 0, "oc2_event_cnt": 2, "oc3_event_cnt": 813}


def test_throttle_counter_once_per_package(tmp_path: Path) -> None:
    computer(tmp_path)
    counts = {counter.name: counter.read() for counter in find_counters(tmp_path)}
    assert counts == {"package0_throttle_count": 7, "package1_throttle_count": 8}


def test_alerts_are_the_throttle_ones(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    assert [alert.name for alert in find_alerts(tmp_path)] == ["cpu-throttle-alert", "gpu-throttle-alert"]


def test_fan(tmp_path: Path) -> None:
    orin_nano(tmp_path / "nano")
    assert read_fan(tmp_path / "nano") == Fan(pwm=77, rpm=2140)
    agx_orin(tmp_path / "orin")
    assert read_fan(tmp_path / "orin") is None
