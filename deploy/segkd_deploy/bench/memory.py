"""Memory that a runner takes: on the device, and of the whole machine where both share it."""

from __future__ import annotations

import re
from ctypes import byref, c_size_t
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd_deploy.bench.run_options import RunOptions

MEMINFO = Path("/proc/meminfo")


class MemoryProbe:
    """Compares memory before a runner opens with memory after it has worked; allocators do not give back meanwhile.

    Args:
        options: how the runner is opened.
    """

    def __init__(self, options: RunOptions) -> None:
        self._gpu = options.gpu_index
        self._available = available_bytes()
        self._device_free = device_free_bytes(self._gpu)

    def taken(self) -> dict[str, int | None]:
        """What is gone since, other processes included.

        Returns:
            ``device_taken_bytes``: memory of the GPU, without the CUDA context; None without a GPU.
            ``ram_delta``: bytes of the machine's available memory; on a Jetson the GPU's are among them.
        """
        free, available = device_free_bytes(self._gpu), available_bytes()
        return {
            "device_taken_bytes": None if free is None or self._device_free is None else self._device_free - free,
            "ram_delta": None if available is None or self._available is None else self._available - available,
        }


def available_bytes(path: Path = MEMINFO) -> int | None:
    """Memory that new work can have (``MemAvailable``); None where the system does not say."""
    try:
        match = re.search(r"^MemAvailable:\s*(\d+) kB", path.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return None
    return int(match[1]) * 1024 if match else None


def device_free_bytes(gpu: int | None) -> int | None:
    """Free memory of a GPU; None for None, or where CUDA is missing."""
    if gpu is None:
        return None
    from segkd_deploy.tensorrt.cuda import open_cuda

    free, total = c_size_t(), c_size_t()
    try:
        cuda = open_cuda()
        cuda.open_gpu(gpu)
        cuda.call("cudaMemGetInfo", byref(free), byref(total))
    except SegkdError:  # the runner says better what is missing
        return None
    return free.value


def describe_memory(engine: dict[str, Any], taken: dict[str, int | None], rss_peak: int | None) -> dict[str, Any]:
    """The ``memory`` object of ``bench.json``, all in bytes.

    Args:
        engine: what the runner says of its engine; empty where there is none.
        taken: from ``MemoryProbe.taken``.
        rss_peak: the largest resident memory of a fresh process.

    Returns:
        ``engine_bytes`` (its file), ``device_bytes`` (of its execution context), ``device_taken_bytes``, ``rss_peak``,
        ``ram_delta``; None where there is none.
    """
    return {
        "engine_bytes": engine.get("bytes"),
        "device_bytes": engine.get("device_bytes"),
        "device_taken_bytes": taken["device_taken_bytes"],
        "rss_peak": rss_peak,
        "ram_delta": taken["ram_delta"],
    }
