"""A GPU for tests: libcudart's functions over the CPU's memory, with a clock that moves by known steps."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

COPY_MS, RUN_MS = 0.25, 2.0
ERRORS = {2: b"out of memory", 35: b"CUDA driver version is insufficient for CUDA runtime version", 100: b"no device"}
ATTRIBUTES = {75: "major", 76: "minor", 18: "integrated"}


class CFunction:
    """A function of the library; ctypes' can be given a result type as well."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.restype: Any = None

    def __call__(self, *arguments: Any) -> Any:
        for argument in arguments:
            assert not isinstance(argument, int), "a plain int reaches C with 32 bits"
        return self.function(*arguments)


class FakeGpu:
    """The library and the GPU behind it.

    Args:
        sm: compute capability.
        cuda: 11, 12 or 13; 12 alone has ``cudaGetDeviceProperties_v2``.
        gpus: how many there are.
    """

    def __init__(self, sm: str = "8.7", cuda: int = 12, gpus: int = 1, name: str = "Orin") -> None:
        major, minor = map(int, sm.split("."))
        self.sm, self.cuda, self.gpus, self.name = sm, cuda, gpus, name
        self.attributes = {"major": major, "minor": minor, "integrated": 1}
        self.clock_ms = 0.0
        self.memory: dict[int, Any] = {}
        self.handles: dict[int, Any] = {}
        self.recording: list[Callable[[], None]] | None = None
        self.failures: dict[str, int] = {}
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> CFunction:
        suffix = "cudaGetDeviceProperties" + ("_v2" if self.__dict__.get("cuda") == 12 else "")
        known = f"_{'cudaGetDeviceProperties' if name == suffix else name}"
        if not name.startswith("cuda") or (name.startswith("cudaGetDeviceProp") and name != suffix):
            raise AttributeError(f"libcudart.so.{self.__dict__.get('cuda')} has no {name}")
        function = object.__getattribute__(self, known)

        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            return self.failures[name] if name in self.failures else function(*arguments)

        made = CFunction(call)
        self.__dict__[name] = made
        return made

    def put(self, work: Callable[[], None], cost_ms: float) -> None:
        """Do work in stream order, or record it."""
        if self.recording is not None:
            self.recording.append(lambda: self.put(work, cost_ms))
            return
        work()
        self.clock_ms += cost_ms

    def kept(self) -> int:
        """Memory, streams, events and graphs that nobody gave back."""
        return len(self.memory) + len(self.handles)

    def _handle(self, out: Any, value: Any) -> int:
        handle = 0x7F00_0000_0000 + 16 * (len(self.calls) + 1)
        self.handles[handle] = value
        out._obj.value = handle
        return 0

    def _cudaGetErrorString(self, status: Any) -> bytes:
        return ERRORS.get(status.value, b"unknown error")

    def _cudaGetDeviceCount(self, out: Any) -> int:
        out._obj.value = self.gpus
        return 0

    def _cudaSetDevice(self, index: Any) -> int:
        return 0

    def _cudaDeviceGetAttribute(self, out: Any, attribute: Any, index: Any) -> int:
        out._obj.value = self.attributes[ATTRIBUTES[attribute.value]]
        return 0

    def _cudaMemGetInfo(self, free: Any, total: Any) -> int:
        free._obj.value, total._obj.value = 4 << 30, 8 << 30
        return 0

    def _cudaGetDeviceProperties(self, out: Any, index: Any) -> int:
        ctypes.memmove(ctypes.addressof(out._obj), self.name.encode() + b"\0", len(self.name) + 1)
        return 0

    def _cudaRuntimeGetVersion(self, out: Any) -> int:
        out._obj.value = self.cuda * 1000 + 60
        return 0

    _cudaDriverGetVersion = _cudaRuntimeGetVersion

    def _cudaMalloc(self, out: Any, size: Any) -> int:
        buffer = (ctypes.c_uint8 * size.value)()
        out._obj.value = ctypes.addressof(buffer)
        self.memory[out._obj.value] = buffer
        return 0

    def _cudaHostAlloc(self, out: Any, size: Any, flags: Any) -> int:
        return self._cudaMalloc(out, size)

    def _cudaHostGetDevicePointer(self, out: Any, address: Any, flags: Any) -> int:
        out._obj.value = address.value
        return 0

    def _cudaFree(self, address: Any) -> int:
        del self.memory[address.value]
        return 0

    _cudaFreeHost = _cudaFree

    def _cudaMemcpyAsync(self, target: Any, source: Any, size: Any, kind: Any, stream: Any) -> int:
        assert stream.value in self.handles and kind.value in (1, 2)
        self.put(lambda: ctypes.memmove(target.value, source.value, size.value) and None, COPY_MS)
        return 0

    def _cudaStreamCreateWithFlags(self, out: Any, flags: Any) -> int:
        assert flags.value == 1
        return self._handle(out, "stream")

    def _cudaStreamSynchronize(self, stream: Any) -> int:
        assert self.recording is None
        return 0

    def _destroy(self, handle: Any) -> int:
        del self.handles[handle.value]
        return 0

    _cudaStreamDestroy = _cudaEventDestroy = _cudaGraphExecDestroy = _cudaGraphDestroy = _destroy

    def _cudaEventCreate(self, out: Any) -> int:
        return self._handle(out, None)

    def _cudaEventRecord(self, event: Any, stream: Any) -> int:
        self.handles[event.value] = self.clock_ms
        return 0

    def _cudaEventElapsedTime(self, out: Any, start: Any, end: Any) -> int:
        out._obj.value = self.handles[end.value] - self.handles[start.value]
        return 0

    def _cudaStreamBeginCapture(self, stream: Any, mode: Any) -> int:
        assert mode.value == 1
        self.recording = []
        return 0

    def _cudaStreamEndCapture(self, stream: Any, out: Any) -> int:
        recorded, self.recording = self.recording, None
        return self._handle(out, recorded)

    def _cudaGraphInstantiateWithFlags(self, out: Any, graph: Any, flags: Any) -> int:
        return self._handle(out, self.handles[graph.value])

    def _cudaGraphLaunch(self, executable: Any, stream: Any) -> int:
        for work in self.handles[executable.value]:
            work()
        return 0
