from __future__ import annotations

import pytest

from segkd.errors import SegkdError
from segkd_deploy.telemetry import Telemetry, energy
from segkd_deploy.telemetry.sample import Header, Sample
from segkd_deploy.telemetry.telemetry import make_telemetry

S = 1_000_000_000
# The documented power object of bench.json; what it covers and why it is missing are said beside them.
POWER_FIELDS = {"rail", "idle_w", "mean_w", "max_w", "samples", "energy_mj_per_frame", "net_energy_mj_per_frame"}


def measured(watts: list[float], hz: float = 20.0) -> Telemetry:
    """Samples at a steady rate from time 0."""
    samples = [
        Sample(round(i * S / hz), power_w={"VDD_IN": value}, temperature_c={"tj": 40.0 + i})
        for i, value in enumerate(watts)
    ]
    return make_telemetry(Header(hz=hz, rails=("VDD_IN",), scope="module"), samples)


def test_gross_and_net_of_idle() -> None:
    # 12 W over 10 s is 120 J: 480 mJ for each of 250 frames; 5 W of idle are 200 mJ of them.
    used = energy(measured([12.0] * 201), 0, 10 * S, 250, 5.0)
    assert (used.rail, used.scope, used.samples) == ("VDD_IN", "module", 201)
    assert used.energy_j == pytest.approx(120)
    assert used.energy_mj_per_frame == pytest.approx(480)
    assert used.net_energy_mj_per_frame == pytest.approx(280)
    assert (used.mean_w, used.max_w, used.idle_w) == (pytest.approx(12), 12.0, 5.0)
    assert used.warnings == () and used.reason is None


def test_net_needs_idle() -> None:
    used = energy(measured([12.0] * 201), 0, 10 * S, 250, None)
    assert used.net_energy_mj_per_frame is None and used.energy_mj_per_frame == pytest.approx(480)


@pytest.mark.parametrize(("samples", "seconds"), [(199, 9), (201, 9), (199, 9.9)])
def test_too_few_samples_or_seconds_are_said(samples: int, seconds: float) -> None:
    used = energy(measured([12.0] * samples), 0, int(seconds * S), 10, 1.0)
    assert len(used.warnings) == 1 and "measure 200 samples and 10 s at least" in used.warnings[0]
    assert used.energy_j == pytest.approx(12 * seconds)


def test_ten_seconds_at_ten_hertz_are_too_few_samples() -> None:
    used = energy(measured([12.0] * 102, hz=10), 0, 10 * S, 10, 1.0)
    assert used.warnings == ("energy is uncertain: 101 power samples in 10.0 s; measure 200 samples and 10 s at least",)


def test_hole_in_the_samples_is_said() -> None:
    telemetry = measured([12.0] * 260)
    samples = [sample for sample in telemetry.samples if not 5 * S < sample.time_ns < 6 * S]
    with_hole = make_telemetry(Header(hz=20, rails=("VDD_IN",)), samples)
    warnings = energy(with_hole, 0, 12 * S, 10, None).warnings
    assert warnings == ("energy is uncertain: 1.00 s without a power sample, 0.05 s expected",)


def test_without_power_the_reason_is_kept() -> None:
    telemetry = make_telemetry(Header(hz=20, reason="power is not available: no sensor"), [Sample(0), Sample(S)])
    used = energy(telemetry, 0, S, 10, None)
    assert used.reason == "power is not available: no sensor"
    assert (used.rail, used.mean_w, used.energy_mj_per_frame) == (None, None, None)


def test_samples_must_reach_over_the_window() -> None:
    used = energy(measured([12.0] * 20), 0, 10 * S, 10, None)
    assert used.reason == "power is not available: the samples do not reach over the timed window"


def test_fields_are_those_of_bench_json() -> None:
    telemetry = measured([12.0] * 3)
    assert energy(telemetry, 0, S // 10, 1, None).fields().keys() == POWER_FIELDS | {"scope", "reason"}
    assert telemetry.thermal.fields() == {"start_c": 40.0, "max_c": 42.0, "throttled": False, "events": {}}


@pytest.mark.parametrize(("end_ns", "frames"), [(0, 1), (S, 0)])
def test_window_without_length_or_frames(end_ns: int, frames: int) -> None:
    with pytest.raises(SegkdError, match="expected frames in a window"):
        energy(measured([1.0] * 3), 0, end_ns, frames, None)
