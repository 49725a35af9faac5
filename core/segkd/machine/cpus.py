"""How many CPUs this process may keep busy: its affinity, the quota of its control group, and cores instead of threads.

A thread per CPU of the host is several times too many in a container with a quota: the kernel stops all of them for the
rest of each period, and the slowest calls become many times slower.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path, PurePosixPath

_CONTROL_GROUPS = "sys/fs/cgroup"
# Where version 1 keeps the CPU controller, by the distribution's choice, and version 2 beside it.
_V1_FOLDERS = ("cpu,cpuacct", "cpuacct,cpu", "cpu")
_V2_FOLDERS = ("", "unified")
_SIBLINGS = ("core_cpus_list", "thread_siblings_list")


def usable_cores(root: Path = Path("/")) -> int:
    """Threads that one computation should have: the smaller of the physical cores allowed and the quota, at least 1.

    Args:
        root: where ``/proc`` and ``/sys`` are.
    """
    cores = physical_cores(root)
    quota = cpu_quota(root)
    # To the nearest: a thread more than the quota is throttled, one less leaves half a CPU or more unused.
    return cores if quota is None else max(1, min(cores, math.floor(quota + 0.5)))


def physical_cores(root: Path = Path("/")) -> int:
    """Cores that the affinity of this process allows; hyper-threads of one core count once.

    Args:
        root: where ``/sys`` is.
    """
    cores = set()
    for cpu in allowed_cpus():
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        siblings = next(filter(None, (_read(folder / name) for name in _SIBLINGS)), None)
        cores.add(siblings or str(cpu))
    return max(1, len(cores))


def allowed_cpus() -> set[int]:
    """Numbers of the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """CPUs that the control groups of this process grant it (``docker --cpus``, Kubernetes limits); None without one.

    The tightest of its own group and all groups above it counts, of version 2 (``cpu.max``) and 1 (``cpu.cfs_*``).

    Args:
        root: where ``/proc`` and ``/sys`` are.
    """
    found = []
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        number, controllers, group = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            found += [_v2_quota(folder) for folder in _groups(root, _V2_FOLDERS, group)]
        elif "cpu" in controllers.split(","):
            found += [_v1_quota(folder) for folder in _groups(root, _V1_FOLDERS, group)]
    return min((quota for quota in found if quota is not None), default=None)


def _groups(root: Path, mounts: tuple[str, ...], group: str) -> list[Path]:
    """A group and all above it, below every place where they may be mounted.

    In a container the path may be the host's, and its own group is what is mounted; the top counts for that.
    """
    # A path that leads out of the namespace's own root is none here.
    inner = PurePosixPath(*(part for part in PurePosixPath(group).parts if part not in ("/", "..")))
    return [root / _CONTROL_GROUPS / mount / part for mount in mounts for part in (inner, *inner.parents)]


def _v2_quota(folder: Path) -> float | None:
    words = (_read(folder / "cpu.max") or "max").split()
    return _share(words[0], words[1] if len(words) > 1 else "100000")


def _v1_quota(folder: Path) -> float | None:
    quota, period = (_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return _share(quota or "-1", period or "100000")


def _share(quota_us: str, period_us: str) -> float | None:
    """Both in microseconds; ``max`` and -1 are no limit."""
    if not re.fullmatch(r"\d+", quota_us) or not re.fullmatch(r"\d+", period_us) or int(period_us) == 0:
        return None
    return int(quota_us) / int(period_us) or None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n") or None
    except OSError:
        return None
