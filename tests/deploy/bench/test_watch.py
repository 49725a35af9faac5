from __future__ import annotations

from pathlib import Path

import pytest

from segkd.errors import BackendMissing
from segkd_deploy.bench.scenarios import Calls
from segkd_deploy.bench.timing import Timing
from segkd_deploy.bench.watch import POWER_FIELDS, THERMAL_FIELDS, Watch

TIMING = Timing(Calls(latencies_ns=[1], begin_ns=0, end_ns=1000), 1, 0, 0.0, None, 1)


def test_without_samples_the_reason_stands_in_the_report() -> None:
    with Watch(sample=False, lock_clocks=False) as watch:
        power, thermal, reasons, warnings = watch.seen(TIMING)
    assert tuple(power) == POWER_FIELDS and tuple(thermal) == THERMAL_FIELDS
    assert power.pop("reason") == "not sampled"
    assert set(power.values()) == set(thermal.values()) == {None}
    assert (reasons, warnings) == ([], [])


def test_fields_are_those_of_telemetry(tmp_path: Path) -> None:
    with Watch(sample=True, lock_clocks=False, root=tmp_path) as watch:
        power, thermal, _, _ = watch.seen(TIMING)
    assert tuple(power) == POWER_FIELDS and tuple(thermal) == THERMAL_FIELDS
    assert "power is not available" in power["reason"]


def test_clocks_that_cannot_be_locked_stop_it_before_anything_runs(tmp_path: Path) -> None:
    with (
        pytest.raises(BackendMissing, match="no clock can be locked"),
        Watch(sample=True, lock_clocks=True, root=tmp_path),
    ):
        pass
