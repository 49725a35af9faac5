"""TensorRT and TensorRT-RTX: the engine is built on first use and kept; the stages are timed on the GPU."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError
from segkd.files import sha256_file
from segkd_deploy.device import describe_device
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.onnx_file.header import spec_of
from segkd_deploy.runners.base import Runner
from segkd_deploy.tensorrt.api import load_tensorrt
from segkd_deploy.tensorrt.cuda import open_cuda
from segkd_deploy.tensorrt.engine_cache import EngineCache
from segkd_deploy.tensorrt.engines import BuildOptions, get_engine
from segkd_deploy.tensorrt.session import Session


class TensorRTRunner(Runner):
    """A complete graph in TensorRT.

    Frames go through pinned memory: into it by ``infer``, or without that copy when the caller fills
    ``frame_buffer`` and passes a part of it to ``infer``. The stream is the runner's own. One thread at a time.

    Args:
        graph: the ONNX file; its engine is taken from the cache or built when the runner opens.
        provider: ``cuda`` or ``cuda:N``, the GPU.
        threads: not used: the network runs on the GPU.
        spec: the graph's shapes, from a manifest; None reads them from the file.
        options: what is asked of the builder.
        cache: where engines are kept; None for the user's cache folder.
        cuda_graph: record the network once per batch size and replay it, which saves the CPU's launches.
        zero_copy: let the GPU read frames and write labels in the CPU's memory. Right for a Jetson, which has one
            memory; over PCI Express it is slow.
        say: is told of builds; None writes to stderr.
    """

    library = "tensorrt"

    def __init__(
        self,
        graph: Path,
        *,
        provider: str = "cuda",
        threads: int | None = None,
        spec: GraphSpec | None = None,
        options: BuildOptions | None = None,
        cache: EngineCache | None = None,
        cuda_graph: bool = False,
        zero_copy: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(graph)
        self.gpu_index = parse_gpu(provider)
        found = spec_of(graph)
        self.spec = found if spec is None else spec
        if spec is not None and _shapes(spec) != _shapes(found):
            raise SegkdError(f"{graph}: expected shapes {_shapes(spec)}, the graph has {_shapes(found)}; export again")
        self.options = BuildOptions() if options is None else options
        self.cache = EngineCache() if cache is None else cache
        self.cuda_graph = cuda_graph
        self.zero_copy = zero_copy
        self._say = say if say is not None else lambda line: print(line, file=sys.stderr)
        self._open: Session | None = None

    def __enter__(self) -> TensorRTRunner:
        """Open the GPU, find or build the engine, load it, allocate its buffers.

        Raises:
            SegkdError: for a graph that TensorRT does not take, or if memory is used up.
            BackendMissing: if TensorRT, the CUDA runtime, a driver or the GPU is not there.
        """
        api = load_tensorrt(self.library)
        cuda = open_cuda()
        gpu = cuda.open_gpu(self.gpu_index)
        engine = get_engine(
            api, self.graph, self.options, sm=gpu.sm, l4t=describe_device()["l4t"], cache=self.cache, say=self._say
        )
        largest = self.spec.batch or self.options.batches[2]
        self._open = Session(api, cuda, gpu, engine, self.spec, largest, zero_copy=self.zero_copy)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the device."""
        session, self._open = self._open, None
        if session is not None:
            session.close()

    def frame_buffer(self) -> NDArray[np.uint8]:
        """Pinned memory for frames, as large as the largest batch; frames that lie there are not copied on the CPU.

        It is gone when the runner closes.

        Raises:
            SegkdError: outside ``with``.
        """
        session = self._session()
        return session.frames_in.array.reshape(self.spec.frames_shape(session.largest))

    def infer(self, frames: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Label frames; see ``Runner.infer``.

        Raises:
            SegkdError: outside ``with``, or for arrays of another dtype, shape or memory order.
        """
        session = self._session()
        batch = self.spec.batch if self.spec.batch is not None else max(1, len(frames))
        self._check_batch(batch)
        _check_array("frames", frames, self.spec.frames_shape(batch))
        labels_shape = self.spec.labels_shape(batch)
        if out is None:
            out = np.empty(labels_shape, np.uint8)
        else:
            _check_array("out", out, labels_shape)
            if not out.flags.writeable:
                raise SegkdError("out: expected an array that can be written, got a read-only one")
        staged = session.frames_in.array[: frames.size]
        if frames.ctypes.data != session.frames_in.address:
            np.copyto(staged, frames.reshape(-1))
        self.last_stages_ms = session.run(batch, cuda_graph=self.cuda_graph)
        np.copyto(out.reshape(-1), session.labels_out.array[: out.size])
        return out

    def infer_device(self, pointer: int, stream: int, batch: int | None = None) -> int:
        """Label frames that lie in device memory, on the caller's stream; returns before the GPU is done.

        Args:
            pointer: device address of uint8 frames, of the shape ``spec.frames_shape(batch)``.
            stream: the CUDA stream's handle.
            batch: number of frames; None for the graph's, or 1 if any number goes.

        Returns:
            Device address of the uint8 labels; the next call writes over them.

        Raises:
            SegkdError: outside ``with``, or for a batch that the engine does not take.
        """
        session = self._session()
        number = batch or self.spec.batch or 1
        self._check_batch(number)
        return session.enqueue(pointer, stream, number)

    def describe(self) -> dict[str, Any]:
        """Runtime, version, GPU and driver really used, the engine and how it came to be, graph sha256.

        Raises:
            SegkdError: outside ``with``: what was used is known once the session is open.
        """
        session = self._session()
        api, gpu, engine, loaded = session.api, session.gpu, session.engine, session.loaded

        return {
            "name": api.name,
            "version": api.version,
            "provider": f"cuda:{gpu.index}",
            "device": gpu.name,
            "threads": None,
            "sm": gpu.sm,
            "l4t": engine.key.l4t,
            "cuda_runtime": gpu.runtime,
            "cuda_driver": gpu.driver,
            "strongly_typed": api.strongly_typed,
            "precision_flags": list(engine.weak_flags),
            "cuda_graph": self.cuda_graph,
            "zero_copy": self.zero_copy,
            "engine": {
                "sha256": engine.sha256,
                "bytes": len(engine.plan),
                "layers": engine.layers,
                "flags": list(engine.key.flags),
                "from_cache": engine.from_cache,
                "build_s": engine.build_s,
                "deserialize_ms": loaded.deserialize_ms,
                "context_ms": loaded.context_ms,
                "device_bytes": loaded.device_bytes,
            },
            "graph_sha256": sha256_file(self.graph),
        }

    def _session(self) -> Session:
        if self._open is None:
            raise SegkdError("the runner is not open; use it in a with statement")
        return self._open

    def _check_batch(self, batch: int) -> None:
        low, _, high = self.options.batches
        if self.spec.batch is not None and batch != self.spec.batch:
            raise SegkdError(f"batch: expected {self.spec.batch}, the graph's, got {batch}")
        if self.spec.batch is None and not low <= batch <= high:
            raise SegkdError(
                f"batch: the engine is for {low} to {high} frames, got {batch}; build it for more with BuildOptions"
            )


class TensorRTRtxRunner(TensorRTRunner):
    """A complete graph in TensorRT-RTX, which finishes its kernels on the GPU when the engine is loaded."""

    library = "tensorrt_rtx"


def parse_gpu(provider: str) -> int:
    """The number in ``cuda:N``; 0 for ``cuda``.

    Raises:
        SegkdError: for anything else.
    """
    name, _, number = provider.partition(":")
    if name != "cuda" or (number and not number.isdecimal()) or provider.endswith(":"):
        raise SegkdError(f"provider of TensorRT: expected cuda or cuda:N, got {provider!r}")
    return int(number or 0)


def _shapes(spec: GraphSpec) -> tuple[int | None, tuple[int, ...], tuple[int, ...]]:
    return spec.batch, spec.frames_shape(1)[1:], spec.labels_shape(1)[1:]


def _check_array(name: str, array: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    if array.dtype != np.uint8 or array.shape != shape:
        raise SegkdError(f"{name}: expected uint8 {shape}, got {array.dtype} {array.shape}")
    if not array.flags.c_contiguous:
        raise SegkdError(f"{name}: expected a C-contiguous array; use numpy.ascontiguousarray")
