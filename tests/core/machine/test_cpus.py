"""Cores and quotas of machines and containers that are written as files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segkd.machine import cpus
from segkd.machine.cpus import allowed_cpus, cpu_quota, physical_cores, usable_cores


def machine(root: Path, monkeypatch: pytest.MonkeyPatch, siblings: dict[int, str], files: dict[str, str]) -> Path:
    """A root folder whose CPUs share cores as said, with files of control groups."""
    monkeypatch.setattr(cpus, "allowed_cpus", lambda: set(siblings))
    topology = {f"sys/devices/system/cpu/cpu{cpu}/topology/core_cpus_list": text for cpu, text in siblings.items()}
    for name, text in {**topology, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


FOUR_CORES = dict.fromkeys((0, 4), "0,4") | dict.fromkeys((1, 5), "1,5") | {2: "2", 3: "3"}
V2 = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "quota", "threads"),
    [
        ({}, None, 4),
        ({"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "max 100000"}, None, 4),
        ({"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "200000 100000"}, 2.0, 2),
        ({"proc/self/cgroup": "0::/a/b", f"{V2}/a/b/cpu.max": "max 100000", f"{V2}/a/cpu.max": "100000"}, 1.0, 1),
        # A container sees the host's path, and its own group as the top.
        ({"proc/self/cgroup": "0::/../../docker/x", f"{V2}/cpu.max": "150000 100000"}, 1.5, 2),
        ({"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "10000 100000"}, 0.1, 1),
        ({"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "6400000 100000"}, 64.0, 4),
        ({"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "nonsense"}, None, 4),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n0::/",
                f"{V2}/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "250000",
                f"{V2}/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000",
            },
            2.5,
            3,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/gone",
                f"{V2}/cpu/cpu.cfs_quota_us": "-1",
                f"{V2}/cpu/cpu.cfs_period_us": "100000",
            },
            None,
            4,
        ),
    ],
)
def test_the_quota_bounds_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], quota: float | None, threads: int
) -> None:
    root = machine(tmp_path, monkeypatch, FOUR_CORES, files)
    assert (cpu_quota(root), physical_cores(root), usable_cores(root)) == (quota, 4, threads)


def test_cpus_without_a_topology_count_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpus, "allowed_cpus", lambda: {0, 1, 2})
    assert physical_cores(tmp_path) == 3


def test_cores_follow_the_affinity() -> None:
    allowed = os.sched_getaffinity(0)
    assert 1 <= usable_cores() <= physical_cores() <= len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert allowed_cpus() == {min(allowed)} and usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
