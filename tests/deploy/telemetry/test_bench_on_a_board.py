"""A whole benchmark beside the tree of a board: the graph runs here, the sensors are the board's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segkd_deploy.artifact import open_artifact
from segkd_deploy.bench.run import Plan, bench_artifact
from segkd_deploy.bench.settings import PRESETS, Settings
from tests.deploy.telemetry.test_lock_clocks import values
from tests.deploy.telemetry.trees import Tree, orin_nano

# A preset as short as a test.
SHORT = Settings("quick", 20, 0.1, 1, 0.0, None, 3)

pytestmark = pytest.mark.usefixtures("quiet_machine")


def run_bench(artifact: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch, *, lock_clocks: bool) -> dict[str, Any]:
    cold = dict.fromkeys(("import_ms", "session_ms", "first_infer_ms", "total_ms", "process_ms"), 1.0)
    monkeypatch.setattr(
        "segkd_deploy.bench.run.measure_cold_start", lambda *args, **kwargs: cold | {"rss_peak_bytes": 1}
    )
    monkeypatch.setattr("segkd_deploy.bench.watch.IDLE_S", 0.1)
    monkeypatch.setitem(PRESETS, SHORT.preset, SHORT)
    plan = Plan(SHORT, peak=False, lock_clocks=lock_clocks, root=tree.root)
    return bench_artifact(open_artifact(artifact), "fp32", plan).to_dict()


def test_energy_and_heat_of_a_cool_board(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = orin_nano(tmp_path / "board")
    tree.write("/sys/class/devfreq/17000000.gpu/cur_freq", 918000000)
    before = values(tree.root)
    report = run_bench(artifact, tree, monkeypatch, lock_clocks=True)
    assert report["invalid_reasons"] == [] and report["valid"] is True
    power, thermal = report["power"], report["thermal"]
    assert (power["rail"], power["idle_w"], power["mean_w"]) == ("VDD_IN", pytest.approx(9), pytest.approx(9))
    # Every frame takes its share of 9 W; nothing is above idle.
    assert power["energy_mj_per_frame"] == pytest.approx(9e3 / report["throughput_fps"], rel=0.1)
    assert power["net_energy_mj_per_frame"] == pytest.approx(0, abs=1e-6)
    assert (thermal["start_c"], thermal["max_c"], thermal["throttled"]) == (48.5, 48.5, False)
    assert values(tree.root) == before


def test_throttled_board_makes_the_measurement_invalid(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = orin_nano(tmp_path / "board")
    tree.write("/sys/class/devfreq/17000000.gpu/min_freq", 918000000)
    tree.write("/sys/class/devfreq/17000000.gpu/cur_freq", 510000000)
    tree.write("/sys/class/thermal/thermal_zone1/temp", 99500)
    report = run_bench(artifact, tree, monkeypatch, lock_clocks=False)
    assert report["valid"] is False and report["thermal"]["throttled"] is True
    clock, zone = report["invalid_reasons"]
    assert clock.startswith("the GPU's clock, locked at 918 MHz, was lower in ") and clock.endswith("down to 510 MHz")
    assert zone == "gpu-thermal reached 99.5 C; it slows the chip down from 99.0 C"
