from __future__ import annotations

import os
from pathlib import Path

import pytest

from segkd_deploy.bench.machine_load import CpuTimes, busy, cpu_times, judge_load, others_share


@pytest.mark.parametrize(
    ("share", "invalid", "warned"),
    [(0.78, True, False), (0.5, False, True), (0.2, False, True), (0.1, False, False), (None, False, False)],
)
def test_others_make_it_a_warning_or_invalid(share: float | None, invalid: bool, warned: bool) -> None:
    reasons, warnings = judge_load(share)
    assert (bool(reasons), bool(warnings)) == (invalid, warned)


def test_the_share_leaves_out_this_process() -> None:
    before, after = CpuTimes(10.0, 100.0, 50.0, 2), CpuTimes(20.0, 116.0, 54.0, 2)
    assert others_share(before, after) == pytest.approx(0.6)
    assert others_share(before, before) is None and others_share(None, after) is None
    assert others_share(before, CpuTimes(20.0, 101.0, 54.0, 2)) == 0.0


def test_only_the_cpus_of_this_process_count_and_waiting_is_not_work(tmp_path: Path) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    tick = os.sysconf("SC_CLK_TCK")
    row = f"{tick} 0 {tick} 900 800 0 0 {tick} 7 7"
    lines = [f"cpu {row}", *(f"cpu{number} {row}" for number in allowed), f"cpu{max(allowed) + 1} {row}", "", "intr 3"]
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text("\n".join(lines))
    found = cpu_times(tmp_path)
    assert found is not None and (found.cpus, found.busy_s) == (len(allowed), 3.0 * len(allowed))
    assert cpu_times(tmp_path / "none") is None


def test_load_is_said() -> None:
    assert busy(8.9, 2) == ["load 8.9 on 2 CPUs: other processes compete, which makes p99 long"]
    assert busy(1.9, 2) == busy(None, 2) == []
