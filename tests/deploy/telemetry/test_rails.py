from __future__ import annotations

from pathlib import Path

import pytest

from segkd_deploy.telemetry.rails import choose_total, find_rails
from tests.deploy.telemetry.trees import JETSONS, agx_orin, orin_nano, orin_nx, thor


@pytest.mark.parametrize(
    ("board", "watts"),
    [
        ("orin-nano", {"VDD_IN": 9.0, "VDD_CPU_GPU_CV": 3.0, "VDD_SOC": 1.5}),
        ("orin-nx", {"VDD_IN": 19.0, "VDD_CPU_GPU_CV": 7.6, "VDD_SOC": 3.8}),
        ("orin", {"VDD_GPU_SOC": 8.0, "VDD_CPU_CV": 3.0, "VIN_SYS_5V0": 4.5, "VDDQ_VDD2_1V8AO": 1.0}),
        ("thor", {"VDD_GPU": 10.0, "VDD_CPU_SOC_MSS": 6.0, "VIN_SYS_5V0": 6.0, "VIN": 31.5}),
    ],
)
def test_rails_in_watts_without_nc_and_the_sum_of_shunts(tmp_path: Path, board: str, watts: dict[str, float]) -> None:
    JETSONS[board](tmp_path)
    assert {rail.name: rail.read_w() for rail in find_rails(tmp_path)} == pytest.approx(watts)


@pytest.mark.parametrize(
    ("board", "names", "scope"),
    [
        ("orin-nano", ("VDD_IN",), "module"),
        ("orin-nx", ("VDD_IN",), "module"),
        ("orin", ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"), "module"),
        ("thor", ("VIN",), "module and carrier board"),
    ],
)
def test_total_of_a_board(tmp_path: Path, board: str, names: tuple[str, ...], scope: str) -> None:
    JETSONS[board](tmp_path)
    total = choose_total(board, [rail.name for rail in find_rails(tmp_path)])
    assert total is not None and (total.rails, total.scope) == (names, scope)


def test_thor_on_a_carrier_without_ina238() -> None:
    total = choose_total("thor", ["VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"])
    assert total is not None
    assert (total.rails, total.scope) == (("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"), "module")


def test_no_total_for_an_unknown_board_or_with_a_rail_missing() -> None:
    assert choose_total(None, ["VDD_IN"]) is None
    assert choose_total("xavier", ["VDD_IN"]) is None
    assert choose_total("orin", ["VDD_GPU_SOC", "VDD_CPU_CV"]) is None


def test_iio_form_is_in_milliwatts(tmp_path: Path) -> None:
    tree = orin_nx(tmp_path / "empty")
    tree.root = tmp_path
    folder = "/sys/bus/i2c/drivers/ina3221x/7-0040/iio:device0"
    for channel, (label, milliwatts) in enumerate([("VDD_IN", 4321), ("NC", 1), ("VDD_SOC", 987)]):
        tree.write(f"{folder}/rail_name_{channel}", label)
        tree.write(f"{folder}/in_power{channel}_input", milliwatts)
        tree.write(f"{folder}/crit_current_limit_{channel}", 3600)
    rails = find_rails(tmp_path)
    assert {rail.name: rail.read_w() for rail in rails} == pytest.approx({"VDD_IN": 4.321, "VDD_SOC": 0.987})
    assert {rail.chip for rail in rails} == {"7-0040"}


def test_hwmon_is_searched_by_name_where_the_driver_folder_is_hidden(tmp_path: Path) -> None:
    tree = orin_nano(tmp_path)
    hidden = tree.path("/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1")
    hidden.rename(tree.path("/sys/class/hwmon/hwmon1"))
    assert [rail.name for rail in find_rails(tmp_path)] == ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]


def test_label_of_the_ina238(tmp_path: Path) -> None:
    tree = thor(tmp_path)
    tree.write("/sys/bus/i2c/drivers/ina238/2-0044/hwmon/hwmon2/in1_label", "VIN_BOARD")
    assert find_rails(tmp_path)[-1].name == "VIN_BOARD"


def test_two_rails_of_one_name_are_told_apart(tmp_path: Path) -> None:
    tree = agx_orin(tmp_path)
    tree.write("/sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4/in2_label", "VDD_CPU_CV")
    names = [rail.name for rail in find_rails(tmp_path)]
    assert names == ["VDD_GPU_SOC", "VDD_CPU_CV@1-0040", "VIN_SYS_5V0", "VDD_CPU_CV@1-0041"]


def test_alarms_and_a_rail_that_does_not_answer(tmp_path: Path) -> None:
    tree = orin_nano(tmp_path)
    folder = "/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
    tree.write(f"{folder}/curr1_crit_alarm", 1)
    tree.remove(f"{folder}/curr2_input")
    first, second, _ = find_rails(tmp_path)
    assert first.alarmed() == ["curr1_crit_alarm"] and second.alarmed() == []
    assert second.read_w() is None
