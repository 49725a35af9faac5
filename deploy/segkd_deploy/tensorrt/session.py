"""A loaded engine with its stream and buffers: what a TensorRT runner holds between ``__enter__`` and ``__exit__``."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import Any

from segkd.errors import SegkdError
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.tensorrt.api import TensorRT, device_memory_bytes, explain
from segkd_deploy.tensorrt.cuda import Cuda, Gpu, HostBuffer
from segkd_deploy.tensorrt.engines import Engine


class LoadedEngine:
    """An engine in device memory, with one execution context.

    Args:
        api: the library.
        plan: the engine's bytes.

    Attributes:
        input: name of the frames.
        output: name of the labels.
        deserialize_ms: how long loading took.
        context_ms: how long making the context took.
        device_bytes: device memory of the context.

    Raises:
        SegkdError: if the engine is not of a complete graph, or memory is used up.
        BackendMissing: if it cannot be loaded here, with what TensorRT said.
    """

    def __init__(self, api: TensorRT, plan: bytes) -> None:
        self._api = api
        self._library = f"{api.name} {api.version}"
        api.messages.lines.clear()
        start_s = time.perf_counter()
        # Kept: the engine needs the runtime, the context the engine.
        self._runtime: Any = api.module.Runtime(api.logger)
        self._engine: Any = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise explain(api.messages, "could not load the engine", self._library)
        loaded_s = time.perf_counter()
        self._context: Any = self._engine.create_execution_context()
        if self._context is None:
            raise explain(api.messages, "could not make an execution context", self._library)
        self.deserialize_ms = 1e3 * (loaded_s - start_s)
        self.context_ms = 1e3 * (time.perf_counter() - loaded_s)
        self.device_bytes = device_memory_bytes(self._engine)
        self.input, self.output = self._names()

    def set_shape(self, shape: tuple[int, ...]) -> None:
        """Say how many frames come next; only for engines that take any number."""
        if not self._context.set_input_shape(self.input, shape):
            raise explain(self._api.messages, f"does not take frames {shape}", self._library)

    def run(self, frames: int, labels: int, stream: int) -> None:
        """Put the network on a stream.

        Args:
            frames: device address of the frames.
            labels: device address for the labels.
            stream: the stream's handle.
        """
        self._context.set_tensor_address(self.input, frames)
        self._context.set_tensor_address(self.output, labels)
        if not self._context.execute_async_v3(stream):
            raise explain(self._api.messages, "could not run the engine", self._library)

    def close(self) -> None:
        """Free it, the context before the engine and the engine before the runtime."""
        del self._context
        del self._engine
        del self._runtime

    def _names(self) -> tuple[str, str]:
        """Names of the one input and the one output, which must be uint8."""
        modes, engine = self._api.module.TensorIOMode, self._engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == modes.INPUT]
        outputs = [name for name in names if engine.get_tensor_mode(name) == modes.OUTPUT]
        types = {name: engine.get_tensor_dtype(name) for name in names}
        uint8 = self._api.module.DataType.UINT8
        if len(inputs) != 1 or len(outputs) != 1 or any(kind != uint8 for kind in types.values()):
            raise SegkdError(f"the engine is not of a complete graph: expected uint8 in and uint8 out, it has {types}")
        return inputs[0], outputs[0]


class Session:
    """A loaded engine with its own stream, events, pinned and device buffers.

    Args:
        api: the library.
        cuda: the CUDA runtime.
        gpu: the current GPU.
        engine: the engine to load.
        spec: the graph's shapes.
        largest: frames of the largest batch.
        zero_copy: let the GPU use the CPU's memory in place.

    Attributes:
        frames_in: pinned memory for ``largest`` frames.
        labels_out: pinned memory for their labels.
    """

    def __init__(
        self, api: TensorRT, cuda: Cuda, gpu: Gpu, engine: Engine, spec: GraphSpec, largest: int, *, zero_copy: bool
    ) -> None:
        self.api, self.gpu, self.engine, self.largest = api, gpu, engine, largest
        self._cuda, self._spec, self._zero_copy = cuda, spec, zero_copy
        self._batch: int | None = None
        self._recorded: dict[int, int] = {}
        frames_bytes, labels_bytes = math.prod(spec.frames_shape(largest)), math.prod(spec.labels_shape(largest))
        with ExitStack() as cleaning:
            self.loaded = LoadedEngine(api, engine.plan)
            cleaning.callback(self.loaded.close)
            self._stream = cuda.make_stream()
            cleaning.callback(cuda.destroy_stream, self._stream)
            self._start, self._copied, self._computed, self._end = (self._event(cleaning) for _ in range(4))
            self.frames_in = self._pinned(frames_bytes, cleaning)
            self.labels_out = self._pinned(labels_bytes, cleaning)
            self._frames = self._on_device(self.frames_in, frames_bytes, cleaning)
            self._labels = self._on_device(self.labels_out, labels_bytes, cleaning)
            self._cleaning = cleaning.pop_all()

    def close(self) -> None:
        """Wait for the GPU and free everything."""
        try:
            self._cuda.wait(self._stream)
            for executable in self._recorded.values():
                self._cuda.destroy_graph(executable)
        finally:
            self._cleaning.close()

    def run(self, batch: int, *, cuda_graph: bool) -> dict[str, float]:
        """Copy the frames of ``frames_in``, run the network, copy the labels to ``labels_out``, and wait.

        Args:
            batch: number of frames.
            cuda_graph: replay the recorded network.

        Returns:
            Milliseconds on the GPU: ``h2d``, ``compute``, ``d2h``; ``compute`` alone without copies.
        """
        cuda, stream = self._cuda, self._stream
        self._set_batch(batch)
        recorded = self._record(batch) if cuda_graph else None

        cuda.record(self._start, stream)
        if not self._zero_copy:
            size = math.prod(self._spec.frames_shape(batch))
            cuda.to_device(self._frames, self.frames_in.address, size, stream)
        cuda.record(self._copied, stream)

        if recorded is None:
            self.loaded.run(self._frames, self._labels, stream)
        else:
            cuda.launch(recorded, stream)
        cuda.record(self._computed, stream)
        if not self._zero_copy:
            size = math.prod(self._spec.labels_shape(batch))
            cuda.to_host(self.labels_out.address, self._labels, size, stream)

        cuda.record(self._end, stream)
        cuda.wait(stream)

        compute_ms = cuda.elapsed_ms(self._copied, self._computed)
        if self._zero_copy:
            return {"compute": compute_ms}
        h2d_ms, d2h_ms = cuda.elapsed_ms(self._start, self._copied), cuda.elapsed_ms(self._computed, self._end)
        return {"h2d": h2d_ms, "compute": compute_ms, "d2h": d2h_ms}

    def enqueue(self, frames: int, stream: int, batch: int) -> int:
        """Put the network on the caller's stream, for frames elsewhere in device memory.

        Returns:
            Device address of the labels.
        """
        self._set_batch(batch)
        self.loaded.run(frames, self._labels, stream)
        return self._labels

    def _set_batch(self, batch: int) -> None:
        if self._spec.batch is None and batch != self._batch:
            self.loaded.set_shape(self._spec.frames_shape(batch))
            self._batch = batch

    def _record(self, batch: int) -> int:
        """The network as a CUDA graph for a batch size."""
        if batch not in self._recorded:
            # The first run of a shape allocates, which cannot be recorded.
            self.loaded.run(self._frames, self._labels, self._stream)
            self._cuda.wait(self._stream)
            self._cuda.begin_capture(self._stream)
            try:
                self.loaded.run(self._frames, self._labels, self._stream)
            finally:
                # Also after an error, or the stream could never be used again.
                self._recorded[batch] = self._cuda.end_capture(self._stream)
        return self._recorded[batch]

    def _event(self, cleaning: ExitStack) -> int:
        event = self._cuda.make_event()
        cleaning.callback(self._cuda.destroy_event, event)
        return event

    def _pinned(self, size: int, cleaning: ExitStack) -> HostBuffer:
        buffer = self._cuda.allocate_host(size, mapped=self._zero_copy)
        cleaning.callback(self._cuda.free_host, buffer)
        return buffer

    def _on_device(self, buffer: HostBuffer, size: int, cleaning: ExitStack) -> int:
        """Where the GPU finds a buffer: in place, or in memory of its own."""
        if self._zero_copy:
            return buffer.device_address
        address = self._cuda.allocate(size)
        cleaning.callback(self._cuda.free, address)
        return address
