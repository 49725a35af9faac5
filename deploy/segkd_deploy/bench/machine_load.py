"""Whether other processes took the CPUs from a measurement."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

# Share of this process's CPUs that others use: above it calls wait for them, and the tail tells of those.
WORTHLESS_SHARE = 0.5
WARNING_SHARE = 0.1
# In /proc/stat: user nice system idle iowait irq softirq steal.
_IDLE = (3, 4)
_FIELDS = 8


@dataclass(frozen=True)
class CpuTimes:
    """What the CPUs that this process may use did since the machine started.

    Attributes:
        at_s: when, by the monotonic clock.
        busy_s: seconds of all processes, and of other virtual machines.
        own_s: seconds of this process.
        cpus: how many CPUs they are.
    """

    at_s: float
    busy_s: float
    own_s: float
    cpus: int


def cpu_times(root: Path = Path("/")) -> CpuTimes | None:
    """Read them; None where the system does not tell.

    Args:
        root: where the system's files are.
    """
    try:
        lines = (root / "proc/stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    allowed = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    rows = [[int(word) for word in words[1 : 1 + _FIELDS]] for words in map(str.split, lines) if {*words[:1]} & allowed]
    if not rows:
        return None
    busy = sum(value for row in rows for place, value in enumerate(row) if place not in _IDLE)
    times = os.times()
    return CpuTimes(time.monotonic(), busy / os.sysconf("SC_CLK_TCK"), times.user + times.system, len(rows))


def others_share(before: CpuTimes | None, after: CpuTimes | None) -> float | None:
    """The share of the CPUs, 0..1, that other processes used between two readings; None if that is not known."""
    if before is None or after is None or after.at_s <= before.at_s:
        return None
    others_s = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    return min(1.0, max(0.0, others_s / ((after.at_s - before.at_s) * after.cpus)))


def judge_load(share: float | None) -> tuple[list[str], list[str]]:
    """Reasons that make a measurement invalid, and warnings, from what other processes used meanwhile."""
    if share is None or share <= WARNING_SHARE:
        return [], []
    said = f"other processes used {share:.0%} of the CPUs meanwhile"
    if share > WORTHLESS_SHARE:
        return [f"{said}, above {WORTHLESS_SHARE:.0%}: p99 tells of them; measure again when the machine is quiet"], []
    return [], [f"{said}, which makes p99 long"]


def load_1min() -> float | None:
    """The load average of the last minute, of the whole machine; None where the system has none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def busy(load: float | None, cpus: int) -> list[str]:
    """A sentence if more processes wanted to run in the last minute than there are CPUs.

    Args:
        load: load average of the whole machine.
        cpus: of the whole machine.
    """
    if load is None or load <= cpus:
        return []
    return [f"load {load:g} on {cpus} CPUs: other processes compete, which makes p99 long"]
