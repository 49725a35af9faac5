from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkd_deploy.telemetry import DeviceState, read_state
from tests.deploy.telemetry.trees import JETSONS, computer, orin_nano, orin_nx, thor


@pytest.mark.parametrize("board", JETSONS)
def test_state_of_every_board_is_json(tmp_path: Path, board: str) -> None:
    JETSONS[board](tmp_path)
    state = read_state(tmp_path)
    assert state.board == board and state.sm == ("11.0" if board == "thor" else "8.7")
    assert json.loads(json.dumps(state.to_dict()))["l4t"] == state.l4t
    assert state.power["rail"] is not None and state.power["reason"] is None


def test_orin_nano_in_full(tmp_path: Path) -> None:
    tree = orin_nano(tmp_path)
    tree.write("/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/curr3_max_alarm", 1)
    content = read_state(tmp_path).to_dict()
    clocks = content.pop("clocks")
    assert content == {
        "model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        "board": "orin-nano",
        "l4t": "36.4.3",
        "jetpack": "6.2",
        "cuda": None,
        "sm": "8.7",
        "power_mode": {"id": 1, "name": "25W"},
        "clocks_locked": False,
        "temperature_c": {"cpu-thermal": 48.5, "gpu-thermal": 47.0, "tj-thermal": 48.5},
        "passive_c": {"cpu-thermal": 99.0, "gpu-thermal": 99.0, "cv0-thermal": 99.0},
        "throttle_events": {"oc1_event_cnt": 0, "oc2_event_cnt": 0, "oc3_event_cnt": 0},
        "throttle_alerts": [],
        "rails_w": pytest.approx({"VDD_IN": 9.0, "VDD_CPU_GPU_CV": 3.0, "VDD_SOC": 1.5}),
        "rail_alarms": ["VDD_SOC: curr3_max_alarm"],
        "power": {"rail": "VDD_IN", "scope": "module", "reason": None},
        "fan": {"pwm": 77, "rpm": 2140},
        "gpu": None,
    }
    assert {kind: [clock["mhz"] for clock in found] for kind, found in clocks.items()} == {
        "gpu": [306.0],
        "emc": [2133.0],
        "cpu": [1190.4, 1190.4],
    }


def test_clock_of_a_kind(tmp_path: Path) -> None:
    thor(tmp_path)
    state = read_state(tmp_path)
    assert (state.clock_mhz("gpu"), state.clock_mhz("emc"), state.clock_mhz("cpu")) == (1575.0, 3200.0, 1190.4)


def test_board_without_a_rule_has_rails_but_no_power(tmp_path: Path) -> None:
    tree = orin_nx(tmp_path)
    tree.write("/proc/device-tree/compatible", "maker,box\0nvidia,tegra234")
    tree.write("/proc/device-tree/model", "Maker Box")
    state = read_state(tmp_path)
    assert (state.board, state.sm, state.rails_w["VDD_IN"]) == (None, None, pytest.approx(19))
    assert state.power["rail"] is None
    assert state.power["reason"] == "power is not available: no rule says which rails of 'Maker Box' make its total"


def test_computer_and_empty_machine(tmp_path: Path) -> None:
    computer(tmp_path / "computer")
    state = read_state(tmp_path / "computer")
    assert (state.model, state.board, state.clock_mhz("cpu")) == (None, None, 1190.4)
    assert state.power["scope"] == "processor packages, memory"
    empty = read_state(tmp_path / "empty")
    assert isinstance(empty, DeviceState) and empty.clocks_locked is None and empty.temperature_c == {}
