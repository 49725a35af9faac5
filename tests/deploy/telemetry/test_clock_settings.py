from __future__ import annotations

from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_deploy.telemetry.clock_settings import (
    SavedClocks,
    Setting,
    find_jetson_clocks,
    plan_lock,
    restore_saved,
    save_settings,
    state_file,
    write_setting,
    write_state,
)
from tests.deploy.telemetry.trees import agx_orin, orin_nano, thor


def plan(root: Path) -> list[tuple[str, str]]:
    return [(setting.path.removeprefix(str(root)), setting.value) for setting in plan_lock(root)]


def test_plan_of_an_orin_nano(tmp_path: Path) -> None:
    tree = orin_nano(tmp_path)
    tree.remove("/sys/devices/system/cpu/cpufreq/policy4/scaling_available_governors")
    assert plan(tmp_path) == [
        ("/sys/class/devfreq/17000000.gpu/min_freq", "918000000"),
        ("/sys/kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked", "1"),
        ("/sys/kernel/debug/bpmp/debug/clk/emc/rate", "2133000000"),
        ("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "performance"),
        ("/sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq", "1510400"),
        ("/sys/devices/system/cpu/cpufreq/policy4/scaling_min_freq", "1510400"),
    ]


def test_plan_of_thor_and_without_debugfs(tmp_path: Path) -> None:
    thor(tmp_path / "thor")
    assert plan(tmp_path / "thor")[:3] == [
        ("/sys/class/devfreq/gpu-gpc-0/min_freq", "1575000000"),
        ("/sys/class/devfreq/gpu-nvd-0/min_freq", "1692000000"),
        ("/sys/class/devfreq/bwmgr/min_freq", "4266000000"),
    ]
    tree = agx_orin(tmp_path / "orin")
    for file in tree.path("/sys/kernel/debug/bpmp/debug/clk/emc").iterdir():
        file.unlink()
    assert not any("emc" in path for path, _ in plan(tmp_path / "orin"))


def test_saved_values_go_back_in_reverse_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orin_nano(tmp_path)
    settings = plan_lock(tmp_path)
    saved = save_settings(settings)
    assert SavedClocks.from_text(saved.to_text()) == saved
    write_state(tmp_path, saved)
    for setting in settings:
        write_setting(setting)
    order: list[Setting] = []

    def record(setting: Setting) -> None:
        order.append(setting)
        write_setting(setting)

    monkeypatch.setattr("segkd_deploy.telemetry.clock_settings.write_setting", record)
    assert restore_saved(tmp_path) == []
    assert order == list(reversed(saved.settings))
    assert save_settings(settings) == saved
    assert not state_file(tmp_path).exists() and restore_saved(tmp_path) == []


def test_one_failure_stops_no_other_and_keeps_the_state(tmp_path: Path) -> None:
    tree = orin_nano(tmp_path)
    write_state(tmp_path, save_settings(plan_lock(tmp_path)))
    for setting in plan_lock(tmp_path):
        write_setting(setting)
    file = "/sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq"
    tree.remove(file)
    failures = restore_saved(tmp_path)
    assert len(failures) == 1 and failures[0].endswith("729600 was refused (No such file or directory)")
    assert tree.read("/sys/class/devfreq/17000000.gpu/min_freq") == "306000000"
    assert state_file(tmp_path).exists()
    tree.write(file, 1510400)
    assert restore_saved(tmp_path) == [] and tree.read(file) == "729600"


def test_unreadable_state_is_said(tmp_path: Path) -> None:
    state_file(tmp_path).parent.mkdir(parents=True)
    state_file(tmp_path).write_text("{")
    assert "restart the machine to put the clocks back" in restore_saved(tmp_path)[0]


def test_what_cannot_be_read_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "min_freq").mkdir()
    with pytest.raises(SegkdError, match="cannot be read, so its clock cannot be locked and put back"):
        save_settings([Setting(str(tmp_path / "min_freq"), "1")])


def test_jetson_clocks_must_be_executable(tmp_path: Path) -> None:
    tree = orin_nano(tmp_path)
    tree.write("/usr/bin/jetson_clocks", "#!/bin/sh")
    assert find_jetson_clocks(tmp_path) is None
    tree.path("/usr/bin/jetson_clocks").chmod(0o755)
    assert find_jetson_clocks(tmp_path) == tree.path("/usr/bin/jetson_clocks")
