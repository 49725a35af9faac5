"""What machine this is, read from the system's own files; what cannot be read is None."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

from segkd.machine.cpus import cpu_quota, physical_cores
from segkd_deploy.bench.machine_load import load_1min


def describe_device(root: Path = Path("/")) -> dict[str, Any]:
    """The machine and the state that latency depends on.

    Args:
        root: where the system's files are, but for those of the processor and its memory.

    Returns:
        ``model`` (board or CPU), ``cpu``, ``cores``, ``cpu_quota``, ``platform``, ``memory_bytes``, ``l4t``,
        ``jetpack``, ``sm``,
        ``cuda``, ``nvpmodel`` (``id`` and ``name``), ``governor``, ``clocks_locked``, ``cpu_mhz``, ``gpu_mhz``,
        ``emc_mhz``, ``load_1min``, and ``state``, everything that ``telemetry.read_state`` found; what the machine
        does not have or tell is None.
    """
    # Not at the top: a cold start imports this module, and would count these imports.
    from segkd_deploy.telemetry.state import read_state

    state = read_state(root)
    cpu = _cpu_name()
    mode = state.power_mode
    return {
        "model": state.model or cpu,
        "cpu": cpu,
        "cores": physical_cores(),
        "cpu_quota": cpu_quota(),
        "platform": platform.platform(),
        "memory_bytes": _memory_bytes(),
        "l4t": state.l4t,
        "jetpack": state.jetpack,
        "sm": state.sm,
        "cuda": state.cuda,
        "nvpmodel": None if mode is None else {"id": mode.id, "name": mode.name},
        "governor": next((clock["governor"] for clock in state.clocks["cpu"]), None),
        "clocks_locked": state.clocks_locked,
        "cpu_mhz": state.clock_mhz("cpu") or cpu_mhz(),
        "gpu_mhz": state.clock_mhz("gpu") or (state.gpu or {}).get("mhz"),
        "emc_mhz": state.clock_mhz("emc"),
        "load_1min": load_1min(),
        "state": state.to_dict(),
    }


def cpu_mhz() -> float | None:
    """The present clock of the first CPU."""
    khz = _read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"))
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


def _cpu_name() -> str | None:
    match = re.search(r"^model name\s*:\s*(.+)$", _read(Path("/proc/cpuinfo")) or "", re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine() or None


def _memory_bytes() -> int | None:
    match = re.search(r"^MemTotal:\s*(\d+) kB", _read(Path("/proc/meminfo")) or "", re.MULTILINE)
    return int(match[1]) * 1024 if match else None
