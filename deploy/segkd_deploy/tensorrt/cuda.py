"""The few CUDA calls of a runner, straight from ``libcudart``: it is on every Jetson, and needs no Python package.

Every argument is wrapped in its C type, because ctypes passes plain numbers as 32 bits.

Source: the CUDA Runtime API, 11.4 to 13.0; every function here has one signature in all of them.
"""

from __future__ import annotations

import ctypes
import sysconfig
from collections.abc import Iterator
from ctypes import byref, c_char, c_char_p, c_float, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import BackendMissing, SegkdError

LIBRARY_NAMES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")

# cudaMemcpyKind, cudaDeviceAttr, flags: part of the ABI, unlike TensorRT's.
_HOST_TO_DEVICE, _DEVICE_TO_HOST = 1, 2
_SM_MAJOR, _SM_MINOR, _INTEGRATED = 75, 76, 18
_NON_BLOCKING, _MAPPED, _CAPTURE_THREAD_LOCAL = 1, 2, 1
# Larger than cudaDeviceProp ever was; the name is its first member.
_PROPERTIES_BYTES, _NAME_BYTES = 8192, 256
# Errors that mean: no driver, or one that is too old, or no GPU.
_NO_DEVICE = {35: "the NVIDIA driver is missing or older than this CUDA", 100: "there is no NVIDIA GPU"}


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        index: its number.
        name: its product name.
        sm: compute capability, ``major.minor``.
        integrated: whether it shares the CPU's memory, as on a Jetson.
        memory_bytes: its memory.
        runtime: version of the CUDA runtime, ``major.minor``.
        driver: newest CUDA that the driver can run, ``major.minor``.
    """

    index: int
    name: str
    sm: str
    integrated: bool
    memory_bytes: int
    runtime: str
    driver: str


@dataclass(frozen=True)
class HostBuffer:
    """Pinned memory of the CPU.

    Attributes:
        address: the CPU's address.
        device_address: the GPU's address of the same memory; 0 if it is not mapped.
        array: the memory as uint8 (bytes,).
    """

    address: int
    device_address: int
    array: NDArray[np.uint8]


class Cuda:
    """Calls of one CUDA runtime library; each raises on an error.

    Args:
        library: the loaded ``libcudart``.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self._library.cudaGetErrorString.restype = c_char_p

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function by name.

        Raises:
            BackendMissing: if there is no driver or GPU.
            SegkdError: for any other CUDA error, such as memory that is used up.
        """
        status = int(getattr(self._library, name)(*arguments))
        if not status:
            return
        text = (self._library.cudaGetErrorString(c_int(status)) or b"unknown error").decode()
        if status in _NO_DEVICE:
            raise BackendMissing(f"CUDA cannot run here: {_NO_DEVICE[status]} ({name}: {text}, error {status})")
        raise SegkdError(f"CUDA: {name} failed: {text} (error {status})")

    def open_gpu(self, index: int) -> Gpu:
        """Make a GPU the current one of this thread.

        Raises:
            BackendMissing: if it is not there.
        """
        count = self._integer("cudaGetDeviceCount")
        if not 0 <= index < count:
            raise BackendMissing(f"GPU cuda:{index} is not there; this machine has {count}")
        self.call("cudaSetDevice", c_int(index))
        major, minor, integrated = (
            self._integer("cudaDeviceGetAttribute", c_int(attribute), c_int(index))
            for attribute in (_SM_MAJOR, _SM_MINOR, _INTEGRATED)
        )
        free, total = c_size_t(), c_size_t()
        self.call("cudaMemGetInfo", byref(free), byref(total))
        properties = (c_char * _PROPERTIES_BYTES)()
        # CUDA 12 alone has the suffix.
        name = "cudaGetDeviceProperties"
        self.call(name + "_v2" if hasattr(self._library, name + "_v2") else name, byref(properties), c_int(index))
        product = properties.raw[:_NAME_BYTES].split(b"\0")[0].decode(errors="replace")
        versions = [self._integer(f"cuda{what}GetVersion") for what in ("Runtime", "Driver")]
        runtime, driver = (f"{version // 1000}.{version % 1000 // 10}" for version in versions)
        return Gpu(index, product, f"{major}.{minor}", bool(integrated), total.value, runtime, driver)

    def allocate(self, size: int) -> int:
        """Device memory; returns its address."""
        address = c_void_p()
        self.call("cudaMalloc", byref(address), c_size_t(size))
        return int(address.value or 0)

    def free(self, address: int) -> None:
        """Give device memory back."""
        self.call("cudaFree", c_void_p(address))

    def allocate_host(self, size: int, *, mapped: bool = False) -> HostBuffer:
        """Pinned memory of the CPU; ``mapped`` lets the GPU read and write it in place."""
        address, device = c_void_p(), c_void_p()
        self.call("cudaHostAlloc", byref(address), c_size_t(size), c_uint(_MAPPED if mapped else 0))
        if mapped:
            self.call("cudaHostGetDevicePointer", byref(device), address, c_uint(0))
        memory = (ctypes.c_uint8 * size).from_address(int(address.value or 0))
        return HostBuffer(int(address.value or 0), int(device.value or 0), np.ctypeslib.as_array(memory))

    def free_host(self, buffer: HostBuffer) -> None:
        """Give pinned memory back."""
        self.call("cudaFreeHost", c_void_p(buffer.address))

    def to_device(self, target: int, source: int, size: int, stream: int) -> None:
        """Copy from the CPU, behind what the stream has to do."""
        self._copy(target, source, size, _HOST_TO_DEVICE, stream)

    def to_host(self, target: int, source: int, size: int, stream: int) -> None:
        """Copy to the CPU, behind what the stream has to do."""
        self._copy(target, source, size, _DEVICE_TO_HOST, stream)

    def make_stream(self) -> int:
        """A stream that does not wait for the default one."""
        stream = c_void_p()
        self.call("cudaStreamCreateWithFlags", byref(stream), c_uint(_NON_BLOCKING))
        return int(stream.value or 0)

    def wait(self, stream: int) -> None:
        """Wait until a stream is done."""
        self.call("cudaStreamSynchronize", c_void_p(stream))

    def destroy_stream(self, stream: int) -> None:
        """Destroy a stream."""
        self.call("cudaStreamDestroy", c_void_p(stream))

    def make_event(self) -> int:
        """An event that keeps its time."""
        event = c_void_p()
        self.call("cudaEventCreate", byref(event))
        return int(event.value or 0)

    def record(self, event: int, stream: int) -> None:
        """Let an event happen when the stream comes to it."""
        self.call("cudaEventRecord", c_void_p(event), c_void_p(stream))

    def elapsed_ms(self, start: int, end: int) -> float:
        """Milliseconds on the GPU between two events that have happened."""
        milliseconds = c_float()
        self.call("cudaEventElapsedTime", byref(milliseconds), c_void_p(start), c_void_p(end))
        return float(milliseconds.value)

    def destroy_event(self, event: int) -> None:
        """Destroy an event."""
        self.call("cudaEventDestroy", c_void_p(event))

    def begin_capture(self, stream: int) -> None:
        """Record what is put on the stream instead of running it."""
        self.call("cudaStreamBeginCapture", c_void_p(stream), c_int(_CAPTURE_THREAD_LOCAL))

    def end_capture(self, stream: int) -> int:
        """Stop recording; returns an executable graph."""
        graph, executable = c_void_p(), c_void_p()
        self.call("cudaStreamEndCapture", c_void_p(stream), byref(graph))
        self.call("cudaGraphInstantiateWithFlags", byref(executable), graph, c_ulonglong(0))
        self.call("cudaGraphDestroy", graph)
        return int(executable.value or 0)

    def launch(self, executable: int, stream: int) -> None:
        """Put a recorded graph on a stream."""
        self.call("cudaGraphLaunch", c_void_p(executable), c_void_p(stream))

    def destroy_graph(self, executable: int) -> None:
        """Destroy a recorded graph."""
        self.call("cudaGraphExecDestroy", c_void_p(executable))

    def _copy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        arguments = (c_void_p(target), c_void_p(source), c_size_t(size), c_int(kind), c_void_p(stream))
        self.call("cudaMemcpyAsync", *arguments)

    def _integer(self, name: str, *arguments: Any) -> int:
        value = c_int()
        self.call(name, byref(value), *arguments)
        return value.value


def open_cuda() -> Cuda:
    """Load ``libcudart`` from the system, a CUDA toolkit, or NVIDIA's Python packages.

    Raises:
        BackendMissing: if there is none.
    """
    for candidate in _candidates():
        try:
            return Cuda(ctypes.CDLL(candidate))
        except OSError:
            continue
    raise BackendMissing(
        "the CUDA runtime (libcudart.so) is not there; JetPack and the CUDA toolkit bring it, elsewhere: "
        "pip install nvidia-cuda-runtime"
    )


def _candidates() -> Iterator[str]:
    yield from LIBRARY_NAMES
    toolkits = sorted(Path("/usr/local").glob("cuda*"), reverse=True)
    folders = [toolkit / name for toolkit in toolkits for name in ("lib64", "lib")]
    packages = Path(sysconfig.get_paths()["purelib"]) / "nvidia"
    folders += sorted(packages.glob("*/lib"))
    for folder in folders:
        yield from (str(path) for path in sorted(folder.glob("libcudart.so*")))
