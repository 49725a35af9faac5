from __future__ import annotations

from pathlib import Path

from segkd_deploy.telemetry.rapl import find_energy_counters
from tests.deploy.telemetry.trees import computer

RANGE_UJ = 262143328850


def test_packages_and_memory_but_not_what_lies_inside_or_around(tmp_path: Path) -> None:
    computer(tmp_path)
    counters, reason = find_energy_counters(tmp_path)
    assert [counter.name for counter in counters] == ["package-0", "dram-0", "package-1"]
    assert reason is None


def test_joules_since_the_first_reading_over_the_end_of_the_range(tmp_path: Path) -> None:
    tree = computer(tmp_path)
    counter = find_energy_counters(tmp_path)[0][0]
    file = "/sys/class/powercap/intel-rapl:0/energy_uj"
    tree.write(file, RANGE_UJ - 3_000_000)
    assert counter.read_j() == 0.0
    tree.write(file, RANGE_UJ - 1_000_000)
    assert counter.read_j() == 2.0
    tree.write(file, 4_000_000)
    assert counter.read_j() == 7.0
    tree.remove(file)
    assert counter.read_j() is None
    tree.write(file, 6_500_000)
    assert counter.read_j() == 9.5


def test_reasons(tmp_path: Path) -> None:
    tree = computer(tmp_path / "refused")
    for folder in tree.path("/sys/class/powercap").iterdir():
        (folder / "energy_uj").unlink()
    counters, reason = find_energy_counters(tmp_path / "refused")
    assert counters == [] and reason is not None and "energy_uj is not readable; run as root" in reason
    assert find_energy_counters(tmp_path / "none") == ([], "no RAPL counter under /sys/class/powercap")
