from __future__ import annotations

from pathlib import Path

import pytest

from segkd_deploy.telemetry.clocks import clocks_locked, find_clocks, gpu_clock
from tests.deploy.telemetry.trees import JETSONS, agx_orin, orin_nano, thor


@pytest.mark.parametrize(
    ("board", "names"),
    [
        ("orin-nano", ["17000000.gpu", "emc", "policy0", "policy4"]),
        ("orin-nx", ["17000000.ga10b", "policy0", "policy4"]),
        ("orin", ["17000000.gpu", "emc", "policy0", "policy4", "policy8"]),
        ("thor", ["gpu-gpc-0", "gpu-nvd-0", "bwmgr", "policy0"]),
    ],
)
def test_clocks_of_the_boards(tmp_path: Path, board: str, names: list[str]) -> None:
    JETSONS[board](tmp_path)
    clocks = find_clocks(tmp_path)
    assert [clock.name for clock in clocks] == names
    compute = gpu_clock(clocks)
    assert compute is not None and compute.name == names[0]


def test_units_and_bounds(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    gpu, emc, cpu, _ = (clock.to_dict() for clock in find_clocks(tmp_path))
    assert gpu == {
        "name": "17000000.gpu",
        "mhz": 306.0,
        "min_mhz": 306.0,
        "max_mhz": 918.0,
        "governor": "nvhost_podgov",
        "locked": False,
    }
    # The power mode's cap, not the chip's 3199 MHz.
    assert (emc["mhz"], emc["max_mhz"], emc["locked"]) == (2133.0, 2133.0, False)
    assert (cpu["mhz"], cpu["min_mhz"], cpu["max_mhz"], cpu["governor"]) == (1190.4, 729.6, 1510.4, "schedutil")


def test_cap_of_zero_is_no_cap(tmp_path: Path) -> None:
    agx_orin(tmp_path)
    emc = next(clock for clock in find_clocks(tmp_path) if clock.kind == "emc")
    assert emc.highest_hz() == 3199e6


def test_locked_when_every_clock_stands(tmp_path: Path) -> None:
    tree = orin_nano(tmp_path)
    clocks = find_clocks(tmp_path)
    tree.write("/sys/class/devfreq/17000000.gpu/min_freq", 918000000)
    assert gpu_clock(clocks).locked_hz() == 918e6  # type: ignore[union-attr]
    for policy in (0, 4):
        tree.write(f"/sys/devices/system/cpu/cpufreq/policy{policy}/scaling_min_freq", 1510400)
    assert clocks_locked(clocks) is False
    tree.write("/sys/kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked", 1)
    assert clocks_locked(clocks) is True


def test_gpu_that_is_off_has_no_clock(tmp_path: Path) -> None:
    tree = thor(tmp_path)
    tree.write("/sys/class/devfreq/gpu-gpc-0/cur_freq", 0)
    compute = gpu_clock(find_clocks(tmp_path))
    assert compute is not None and compute.read_hz() is None


def test_nothing_to_read(tmp_path: Path) -> None:
    assert find_clocks(tmp_path) == []
    assert gpu_clock([]) is None
    assert clocks_locked([]) is None
