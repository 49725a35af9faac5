"""Memory that a runner takes: on the device, and of the whole machine where both share it."""

from __future__ import annotations

import re
from ctypes import byref, c_size_t
from dataclasses import dataclass
from pathlib import Path

from segkd.errors import SegkdError
from segkd_deploy.bench.run_options import RunOptions

MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Memory:
    """The ``memory`` object of ``bench.json``, all in bytes; None where there is none.

    Attributes:
        engine_bytes: an engine's file.
        device_bytes: of its execution context.
        device_taken_bytes: memory of the GPU that is gone, without the CUDA context.
        rss_peak: the largest resident memory of a fresh process.
        ram_delta: the machine's available memory that is gone; on a Jetson the GPU's is among it.
    """

    engine_bytes: int | None
    device_bytes: int | None
    device_taken_bytes: int | None
    rss_peak: int | None
    ram_delta: int | None


@dataclass(frozen=True)
class Taken:
    """What is gone since a runner was opened, other processes included.

    Attributes:
        device_bytes: memory of the GPU, without the CUDA context; None without a GPU.
        ram_bytes: of the machine's available memory; None where the system does not say.
    """

    device_bytes: int | None
    ram_bytes: int | None


class MemoryProbe:
    """Compares memory before a runner opens with memory after it has worked; allocators do not give back meanwhile.

    Args:
        options: how the runner is opened.
    """

    def __init__(self, options: RunOptions) -> None:
        self._gpu = options.gpu_index
        self._available = available_bytes()
        self._device_free = device_free_bytes(self._gpu)

    def taken(self) -> Taken:
        """What is gone since."""
        free, available = device_free_bytes(self._gpu), available_bytes()
        return Taken(
            None if free is None or self._device_free is None else self._device_free - free,
            None if available is None or self._available is None else self._available - available,
        )


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
