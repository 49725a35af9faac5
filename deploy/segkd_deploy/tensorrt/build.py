"""Engines of many graphs, for the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.files import write_atomic
from segkd_deploy.artifact import Artifact, open_artifact
from segkd_deploy.device import describe_device
from segkd_deploy.tensorrt.api import TensorRT, load_tensorrt
from segkd_deploy.tensorrt.cuda import open_cuda
from segkd_deploy.tensorrt.engine_cache import EngineCache
from segkd_deploy.tensorrt.engines import BuildOptions, Engine, get_engine

# Variants with unsigned activations, which no TensorRT takes.
_CPU_SUFFIX = "-cpu"


@dataclass(frozen=True)
class BuildRequest:
    """What the user asked for.

    Attributes:
        source: an artifact folder or an ONNX file.
        variants: variants of the artifact; with ``precisions`` empty too, all but those for CPUs.
        precisions: also every variant of these precisions.
        runtime: ``tensorrt`` or ``tensorrt_rtx``.
        sm: compute capabilities to compile for; empty for this machine's GPU.
        batches: smallest, usual and largest batch of a graph that takes any number.
        optimization_level: how long to search, 0 to 5; None for TensorRT's own.
        workspace_mib: scratch memory; None for TensorRT's own limit.
        tf32: whether float32 products may be rounded to TF32.
        out: folder for the engines; None leaves them in the cache.
    """

    source: Path
    variants: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    runtime: str = "tensorrt"
    sm: tuple[str, ...] = ()
    batches: tuple[int, int, int] = (1, 1, 8)
    optimization_level: int | None = None
    workspace_mib: int | None = None
    tf32: bool = False
    out: Path | None = None


@dataclass(frozen=True)
class Built:
    """An engine and where it came from and went.

    Attributes:
        graph: the ONNX file.
        engine: its engine.
        path: where it was written, with ``out``.
    """

    graph: Path
    engine: Engine
    path: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        engine = self.engine
        return {
            "graph": self.graph,
            "graph_sha256": engine.key.graph_sha256,
            "runtime": {"name": engine.key.library, "version": engine.key.version},
            "sm": engine.key.sm,
            "l4t": engine.key.l4t,
            "flags": list(engine.key.flags),
            "precision_flags": list(engine.weak_flags),
            "layers": engine.layers,
            "bytes": len(engine.plan),
            "sha256": engine.sha256,
            "build_s": engine.build_s,
            "from_cache": engine.from_cache,
            "file": self.path,
        }


def build_all(request: BuildRequest, say: Callable[[str], None] = lambda line: None) -> list[Built]:
    """Build or find the engine of every graph asked for.

    Args:
        request: what was asked for.
        say: is told, in one line, what is being done.

    Raises:
        SegkdError: for a source, variant or graph that does not work, with every message of the parser.
        GateFailed: if a file of the artifact has changed.
        BackendMissing: if TensorRT, a driver, the GPU or a library is not there.
    """
    graphs = _graphs(request)
    api = load_tensorrt(request.runtime)
    sm, cache = _target(api, request)
    options = BuildOptions(
        request.batches, request.workspace_mib, request.optimization_level, tf32=request.tf32, sm=request.sm
    )
    built = []
    for graph in graphs:
        engine = get_engine(api, graph, options, sm=sm, l4t=describe_device()["l4t"], cache=cache, say=say)
        path = None
        if request.out is not None:
            path = request.out / f"{graph.stem}.sm{sm.replace('+', '-')}.{api.name}-{api.version}.plan"
            write_atomic(path, engine.plan)
        built.append(Built(graph, engine, path))
    return built


def variants_for(artifact: Artifact, runtime: str) -> tuple[str, ...]:
    """The variants that a runtime can take: TensorRT not those for CPUs."""
    names = artifact.variants()
    return tuple(name for name in names if runtime == "onnxruntime" or not name.endswith(_CPU_SUFFIX))


def parse_batches(text: str) -> tuple[int, int, int]:
    """``N``, ``A-B`` or ``A-N-B`` as smallest, usual and largest batch; the usual one of ``A-B`` is A.

    Raises:
        SegkdError: for other text.
    """
    match = re.fullmatch(r"(\d+)(?:-(\d+))?(?:-(\d+))?", text.strip())
    if match is None:
        raise SegkdError(f"batches {text!r}: expected N, A-B or A-N-B, as in 1-8 or 1-4-8")
    numbers = [int(number) for number in match.groups() if number]
    low, high = numbers[0], numbers[-1]
    return low, numbers[1] if len(numbers) == 3 else low, high


def _graphs(request: BuildRequest) -> list[Path]:
    if not request.source.is_dir():
        if request.variants or request.precisions:
            raise SegkdError(f"{request.source} is one graph; variants and precisions are for artifact folders")
        return [request.source]
    artifact = open_artifact(request.source)
    names = list(request.variants)
    for precision in request.precisions:
        names.append(artifact.variant_for(precision, request.runtime, "cuda"))
    names = names or list(variants_for(artifact, request.runtime))
    return [artifact.graph(name) for name in dict.fromkeys(names)]


def _target(api: TensorRT, request: BuildRequest) -> tuple[str, EngineCache | None]:
    """The compute capability to build for, and the cache, which holds engines of this machine's GPU alone."""
    if not request.sm:
        return open_cuda().open_gpu(0).sm, EngineCache()
    if not api.is_rtx:
        raise SegkdError("tensorrt builds for this machine's GPU alone; --sm is for --runtime tensorrt_rtx")
    return "+".join(request.sm), None
