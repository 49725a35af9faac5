"""ONNX Runtime: the reference runtime, on the CPU and behind every provider that its wheel holds."""

from __future__ import annotations

import time
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import BackendMissing, SegkdError, import_extra, unknown_name
from segkd.files import sha256_file
from segkd.machine.cpus import usable_cores
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.onnx_file.header import spec_of
from segkd_deploy.runners.base import ProviderMissing, Runner
from segkd_deploy.runners.batches import in_batches
from segkd_deploy.runners.decoding import HostDecoding, choose_decoding
from segkd_deploy.runners.host_decoder import HostDecoder

PROVIDERS: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


def require_provider(provider: str, threads: int | None = None) -> ModuleType:
    """onnxruntime, if it is there and was built with a provider.

    Args:
        provider: a key of ``PROVIDERS``.
        threads: threads inside an operator; None for one per core.

    Raises:
        SegkdError: for an unknown provider, or no threads.
        BackendMissing: if onnxruntime is not installed or lacks the provider.
    """
    if provider not in PROVIDERS:
        raise unknown_name("onnxruntime provider", provider, PROVIDERS)
    if threads is not None and threads < 1:
        raise SegkdError(f"threads: expected 1 or more, got {threads}")
    ort = import_extra("onnxruntime", "ort")
    available = ort.get_available_providers()
    if PROVIDERS[provider] not in available:
        raise ProviderMissing(
            f"provider {provider} ({PROVIDERS[provider]}) is not in this onnxruntime {ort.__version__}, which has "
            f"{', '.join(available)}; install the onnxruntime build that brings it"
        )
    return ort


def session_options(threads: int | None = None, *, as_written: bool = False) -> Any:
    """The ``onnxruntime.SessionOptions`` of every session: sequential, one thread between operators, errors alone said.

    Args:
        threads: threads inside an operator; None for one per core that this process may use.
        as_written: run the operators one by one, without fusing any.
    """
    ort = import_extra("onnxruntime", "ort")
    levels, options = ort.GraphOptimizationLevel, ort.SessionOptions()
    options.graph_optimization_level = levels.ORT_DISABLE_ALL if as_written else levels.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = usable_cores() if threads is None else threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def open_session(graph: Path, provider: str = "cpu", threads: int | None = None) -> Any:
    """Open an ``onnxruntime.InferenceSession`` whose first provider is really the one asked for.

    All graph optimisations, sequential execution, ``threads`` threads inside an operator and one between
    operators.

    Args:
        graph: the ONNX file.
        provider: a key of ``PROVIDERS``.
        threads: threads inside an operator; None for one per core that this process may use.

    Raises:
        SegkdError: for an unknown provider, or a file that is missing or no ONNX graph.
        BackendMissing: if onnxruntime is not installed or cannot give the provider; it never becomes the CPU.
    """
    ort = require_provider(provider, threads)
    wanted = PROVIDERS[provider]
    if not graph.is_file():
        raise SegkdError(f"{graph}: no such graph")
    options = session_options(threads)
    try:
        chosen = (wanted, provider_options(provider, options.intra_op_num_threads))
        session = ort.InferenceSession(str(graph), sess_options=options, providers=[chosen])
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise SegkdError(f"{graph}: onnxruntime cannot load it: {error}") from error
    session.disable_fallback()
    used = session.get_providers()
    if not used or used[0] != wanted:
        raise BackendMissing(
            f"provider {provider} ({wanted}) could not start, onnxruntime would have run on "
            f"{', '.join(used) or 'nothing'}; check its driver and libraries"
        )
    return session


def run_frames(session: Any, frames: NDArray[Any], batch: int) -> NDArray[Any]:
    """The first output of a session with one input, for any number of frames.

    Args:
        session: an ``onnxruntime.InferenceSession``.
        frames: frames as the graph takes them, (N, ...).
        batch: frames per call.
    """
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    return in_batches(frames, batch, lambda part: session.run([output], {name: part})[0])


def provider_options(provider: str, threads: int) -> dict[str, str]:
    """What a provider must be told by itself: OpenVINO has threads of its own."""
    return {"num_of_threads": str(threads)} if provider == "openvino" else {}


class OnnxRuntimeRunner(Runner):
    """A complete graph in ONNX Runtime.

    Input and output stay in the caller's arrays (``io_binding``): nothing is copied on the CPU; with another
    provider onnxruntime copies to and from the device inside ``infer``.

    Args:
        graph: the ONNX file.
        provider: a key of ``PROVIDERS``.
        threads: threads inside an operator; None for one per core that this process may use.
        spec: the graph's shapes, from a manifest; the graph is compared with it when the session opens.
            None reads them from the graph.
        decoder: who turns logits into labels. ``graph``: the graph. ``host``: the session runs the logits graph, and
            the exact ``HostDecoder`` does the rest, which is faster for many classes. ``auto``: the host where
            that pays; ``describe()`` says which and why.
    """

    def __init__(
        self,
        graph: Path,
        *,
        provider: str = "cpu",
        threads: int | None = None,
        spec: GraphSpec | None = None,
        decoder: str = "auto",
    ) -> None:
        super().__init__(graph)
        self.decoder = decoder
        self.provider = provider
        self.threads = usable_cores() if threads is None else threads
        require_provider(provider, threads)
        self.spec = spec_of(graph) if spec is None else spec
        self._session: Any = None
        self._binding: Any = None
        self._tail: _HostTail | None = None

    def __enter__(self) -> OnnxRuntimeRunner:
        """Open the session.

        Raises:
            SegkdError: if the graph cannot be loaded or has other shapes than ``spec``, or the host decoder was asked
                for and cannot be used.
            BackendMissing: if the provider is not there.
        """
        self._decoding = choose_decoding(self.decoder, self.graph, self.provider)
        host = self._decoding.host
        session = open_session(self.graph if host is None else host.graph, self.provider, self.threads)
        found = spec_of(self.graph)
        if _shape(found) != _shape(self.spec):
            raise SegkdError(
                f"{self.graph}: expected batch x height x width {_shape(self.spec)}, the graph has {_shape(found)}; "
                "export it again"
            )
        self._session, self._binding = session, session.io_binding()
        self._tail = None if host is None else _HostTail(host, self.threads)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""
        tail, self._tail = self._tail, None
        if tail is not None:
            tail.decoder.close()
        self._session = self._binding = None

    def infer(self, frames: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Label frames; see ``Runner.infer``.

        Raises:
            SegkdError: outside ``with``, or for arrays of another dtype, shape or memory order.
        """
        if self._session is None:
            raise SegkdError("the runner is not open; use it in a with statement")
        batch = self.spec.batch if self.spec.batch is not None else max(1, len(frames))
        labels_shape = self.spec.labels_shape(batch)
        _check_array("frames", frames, self.spec.frames_shape(batch))
        if out is None:
            out = np.empty(labels_shape, np.uint8)
        else:
            _check_array("out", out, labels_shape)
            if not out.flags.writeable:
                raise SegkdError("out: expected an array that can be written, got a read-only one")

        start_ns = time.perf_counter_ns()
        self._binding.bind_cpu_input(self._session.get_inputs()[0].name, frames)
        result = out if self._tail is None else self._tail.buffer(batch)
        name = self._session.get_outputs()[0].name
        self._binding.bind_output(name, "cpu", 0, result.dtype.type, result.shape, result.ctypes.data)
        self._session.run_with_iobinding(self._binding)
        done_ns = time.perf_counter_ns()
        stages_ms = {"compute": (done_ns - start_ns) / 1e6} if self.provider == "cpu" else {}

        if self._tail is not None:
            self._tail.decoder.decode(self._tail.buffer(batch), out)
            stages_ms["post"] = (time.perf_counter_ns() - done_ns) / 1e6
        self.last_stages_ms = stages_ms
        return out

    def describe(self) -> dict[str, Any]:
        """Runtime name, version, provider and device really used, thread counts, decoder, hashes of the graphs.

        ``graph_sha256`` is the complete graph's, also where its logits graph ran.

        Raises:
            SegkdError: outside ``with``: what was used is known once the session is open.
        """
        if self._session is None:
            raise SegkdError("the runner is not open; use it in a with statement")
        ort = import_extra("onnxruntime", "ort")
        options, host = self._session.get_session_options(), self._decoding.host
        return {
            "name": "onnxruntime",
            "version": ort.__version__,
            "provider": self._session.get_providers()[0],
            "providers": list(self._session.get_providers()),
            "device": ort.get_device(),
            "threads": options.intra_op_num_threads,
            "inter_op_threads": options.inter_op_num_threads,
            "decoder": {"used": "graph" if host is None else "host", "why": self._decoding.why},
            "graph_sha256": sha256_file(self.graph),
            "logits_sha256": None if host is None else sha256_file(host.graph),
        }


class _HostTail:
    """The host decoder with the logits' memory."""

    def __init__(self, host: HostDecoding, threads: int) -> None:
        self.host = host
        self.decoder = HostDecoder(host.grid, host.resize, threads)
        self._logits = np.empty((0, host.num_classes, *host.grid), np.float32)

    def buffer(self, batch: int) -> NDArray[np.float32]:
        """Memory for the logits of a batch, kept between calls."""
        if len(self._logits) < batch:
            self._logits = np.empty((batch, self.host.num_classes, *self.host.grid), np.float32)
        return self._logits[:batch]


def _shape(spec: GraphSpec) -> str:
    extra = "" if spec.color == "RGB" else f" {spec.color}"
    if spec.labels_px is not None:
        extra += f" with labels {spec.labels_px[0]} x {spec.labels_px[1]}"
    return f"{spec.batch or 'any'} x {spec.height_px} x {spec.width_px}{extra}"


def _check_array(name: str, array: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    if array.dtype != np.uint8 or array.shape != shape:
        raise SegkdError(f"{name}: expected uint8 {shape}, got {array.dtype} {array.shape}")
    if not array.flags.c_contiguous:
        raise SegkdError(f"{name}: expected a C-contiguous array; use numpy.ascontiguousarray")
