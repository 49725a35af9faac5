"""What machine this is, read from the system's own files; what cannot be read is None."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any


def physical_cores() -> int:
    """Physical cores that this process may use: hyper-threads of one core count once."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = set()
    for cpu in allowed:
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        package, core = _read(topology / "physical_package_id"), _read(topology / "core_id")
        cores.add((package, core) if core is not None else (None, str(cpu)))
    return max(1, len(cores))


def describe_device() -> dict[str, Any]:
    """The machine and the state that latency depends on.

    Returns:
        ``model`` (board or CPU), ``cpu``, ``cores``, ``platform``, ``memory_bytes``, ``l4t``, ``governor``,
        ``clocks_locked``, ``cpu_mhz``, ``load_1min``, and ``jetpack``, ``sm``, ``cuda``, ``nvpmodel``, ``gpu_mhz``,
        ``emc_mhz``, which are None here: a CPU has none of them.
    """
    board = _read(Path("/proc/device-tree/model"))
    cpu = _cpu_name()
    return {
        "model": board or cpu,
        "cpu": cpu,
        "cores": physical_cores(),
        "platform": platform.platform(),
        "memory_bytes": _memory_bytes(),
        "l4t": parse_l4t(_read(Path("/etc/nv_tegra_release"))),
        "jetpack": None,
        "sm": None,
        "cuda": None,
        "nvpmodel": None,
        "governor": _frequency("scaling_governor", str),
        "clocks_locked": _clocks_locked(),
        "cpu_mhz": cpu_mhz(),
        "gpu_mhz": None,
        "emc_mhz": None,
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def parse_l4t(release: str | None) -> str | None:
    """The L4T version (``36.4.3``) in the text of ``/etc/nv_tegra_release``; None if it has none."""
    match = re.search(r"# R(\d+) .*?REVISION: ([\d.]+)", release or "")
    return f"{match[1]}.{match[2]}" if match else None


def cpu_mhz() -> float | None:
    """The present clock of the first CPU."""
    khz = _frequency("scaling_cur_freq", float)
    if khz is not None:
        return float(khz) / 1000
    match = re.search(r"^cpu MHz\s*:\s*([\d.]+)", _read(Path("/proc/cpuinfo")) or "", re.MULTILINE)
    return float(match[1]) if match else None


def peak_rss_bytes() -> int | None:
    """The largest resident memory that this process ever had (``VmHWM``)."""
    match = re.search(r"^VmHWM:\s*(\d+) kB", _read(Path("/proc/self/status")) or "", re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n") or None
    except OSError:
        return None


def _frequency(name: str, convert: Callable[[str], Any]) -> Any:
    text = _read(Path("/sys/devices/system/cpu/cpu0/cpufreq") / name)
    return None if text is None else convert(text)


def _clocks_locked() -> bool | None:
    lowest, highest = _frequency("scaling_min_freq", float), _frequency("scaling_max_freq", float)
    return None if lowest is None or highest is None else bool(lowest == highest)


def _cpu_name() -> str | None:
    match = re.search(r"^model name\s*:\s*(.+)$", _read(Path("/proc/cpuinfo")) or "", re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine() or None


def _memory_bytes() -> int | None:
    match = re.search(r"^MemTotal:\s*(\d+) kB", _read(Path("/proc/meminfo")) or "", re.MULTILINE)
    return int(match[1]) * 1024 if match else None
