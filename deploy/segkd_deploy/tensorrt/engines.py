"""Building engines: one code path for ``tensorrt`` 8.6 to 11 and ``tensorrt_rtx``.

Precision is what the graph says (strong typing). Versions before 10 cannot do that and get flags that allow what the
graph holds.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.files import sha256_file, write_atomic
from segkd_deploy.onnx_file.header import OnnxHeader, read_header
from segkd_deploy.tensorrt.api import TensorRT, explain, parser_errors
from segkd_deploy.tensorrt.engine_cache import EngineCache, EngineKey

# Batches of a graph that takes any number, unless others are asked for: smallest, usual, largest.
DEFAULT_BATCHES = (1, 1, 8)
# What rtx compiles for when nothing is said: kernels for SM 8.0 and newer.
PORTABLE_SM = "8.0+"
_MIB = 1 << 20


@dataclass(frozen=True)
class BuildOptions:
    """What is asked of the builder.

    Attributes:
        batches: smallest, usual and largest batch of a graph that takes any number.
        workspace_mib: scratch memory that kernels may use; None for TensorRT's own limit.
        optimization_level: 0 to 5, how long to search; None for TensorRT's own.
        tf32: whether float32 products may be rounded to TF32; without it the engine says what the graph says.
        sm: compute capabilities to compile for, ``major.minor``; TensorRT-RTX alone can build for other GPUs.
    """

    batches: tuple[int, int, int] = DEFAULT_BATCHES
    workspace_mib: int | None = None
    optimization_level: int | None = None
    tf32: bool = False
    sm: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the batches.

        Raises:
            SegkdError: if they are not in order.
        """
        low, usual, high = self.batches
        if not 1 <= low <= usual <= high:
            raise SegkdError(f"batches: expected 1 <= smallest <= usual <= largest, got {low}, {usual}, {high}")

    def flags(self) -> tuple[str, ...]:
        """The options that change an engine, for its key."""
        named = {
            "batches": "-".join(map(str, self.batches)),
            "workspace_mib": self.workspace_mib,
            "optimization_level": self.optimization_level,
            "tf32": self.tf32,
        }
        return tuple(f"{name}={value}" for name, value in sorted(named.items()) if value is not None)


@dataclass(frozen=True)
class Engine:
    """A built or found engine.

    Attributes:
        plan: its bytes.
        key: what it depends on.
        build_s: how long the build took, whenever it was.
        layers: layers of the parsed network, before fusion.
        weak_flags: precisions that a version before 10 was allowed.
        from_cache: whether it was found.
    """

    plan: bytes
    key: EngineKey
    build_s: float
    layers: int
    weak_flags: tuple[str, ...]
    from_cache: bool

    @property
    def sha256(self) -> str:
        """The plan's hash."""
        return hashlib.sha256(self.plan).hexdigest()


def get_engine(
    api: TensorRT,
    graph: Path,
    options: BuildOptions,
    *,
    sm: str,
    l4t: str | None = None,
    cache: EngineCache | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Engine:
    """Find an engine or build it, and keep it.

    Args:
        api: the library.
        graph: the ONNX file.
        options: what is asked of the builder.
        sm: compute capability of the GPU it is for.
        l4t: the Jetson's release.
        cache: where engines are kept; None builds and keeps nothing.
        say: is told when a build starts and ends.

    Raises:
        SegkdError: for a graph that TensorRT does not take, with every message of its parser.
        BackendMissing: if the build needs a driver, GPU or library that is not there.
    """
    key = EngineKey(sha256_file(graph), api.name, api.version, sm, l4t, options.flags())
    found = None if cache is None else cache.load(key)
    if found is not None:
        facts = found.record
        weak = tuple(facts["weak_flags"])
        return Engine(found.plan, key, float(facts["build_s"]), int(facts["layers"]), weak, from_cache=True)
    say(f"building an engine of {graph.name} with {api.name} {api.version} for SM {sm}; this can take minutes")
    engine = build_engine(api, graph, options, key, None if cache is None else cache.timing_cache(key))
    say(f"built in {engine.build_s:.1f} s: {engine.layers} layers, {len(engine.plan) / 1e6:.1f} MB")
    if cache is not None:
        cache.store(key, engine.plan, build_s=engine.build_s, layers=engine.layers, weak_flags=engine.weak_flags)
    return engine


def build_engine(
    api: TensorRT, graph: Path, options: BuildOptions, key: EngineKey, timing_cache: Path | None = None
) -> Engine:
    """Build an engine, whatever was built before.

    Args:
        api: the library.
        graph: the ONNX file.
        options: what is asked of the builder.
        key: of the engine.
        timing_cache: file with the times of kernels; read if it is there, and written.

    Raises:
        SegkdError: for a graph that TensorRT does not take.
        BackendMissing: if the build needs a driver, GPU or library that is not there.
    """
    library = f"{api.name} {api.version}"
    header = read_header(graph)
    api.messages.lines.clear()
    start_s = time.perf_counter()
    try:
        builder = api.module.Builder(api.logger)
    except (TypeError, RuntimeError) as error:  # the bindings' way to say that the library returned nothing
        api.messages.lines.append(("ERROR", str(error)))
        raise explain(api.messages, "could not start", library) from error
    network = builder.create_network(api.network_flags())
    _parse(api, network, graph, library)
    config = builder.create_builder_config()
    _configure(api, config, options)
    weak = () if api.strongly_typed else _allow(api, config, header)
    _add_profile(builder, config, network, options)
    times = None if api.is_rtx or timing_cache is None else _use_times(config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise explain(api.messages, f"could not build an engine of {graph}", library)
    if times is not None and timing_cache is not None:
        # While the config lives: it owns the cache.
        write_atomic(timing_cache, bytes(config.get_timing_cache().serialize()))
    return Engine(bytes(plan), key, time.perf_counter() - start_s, int(network.num_layers), weak, from_cache=False)


def _parse(api: TensorRT, network: Any, graph: Path, library: str) -> None:
    parser = api.module.OnnxParser(network, api.logger)
    if parser.parse_from_file(str(graph)):
        return
    errors = parser_errors(parser)
    if not errors:
        raise explain(api.messages, f"cannot parse {graph}", library)
    raise SegkdError(f"{library} does not take {graph}: {'; '.join(errors)}")


def _configure(api: TensorRT, config: Any, options: BuildOptions) -> None:
    """Set what is the same for every graph."""
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(api.module.MemoryPoolType.WORKSPACE, options.workspace_mib * _MIB)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    tf32 = api.builder_flag("TF32")
    if tf32 is not None and not options.tf32:
        config.clear_flag(tf32)
    if not options.sm:
        return
    if not hasattr(config, "num_compute_capabilities"):
        raise SegkdError(f"{api.name} {api.version} builds for this machine's GPU alone; leave out the SM, or use rtx")
    config.num_compute_capabilities = len(options.sm)
    for index, sm in enumerate(options.sm):
        config.set_compute_capability(_capability(api, sm), index)


def _capability(api: TensorRT, sm: str) -> Any:
    """``8.6`` as ``ComputeCapability.SM86``."""
    name = f"SM{sm.replace('.', '')}"
    members = api.module.ComputeCapability
    if not hasattr(members, name):
        known = [entry for entry in dir(members) if entry.startswith("SM")]
        raise SegkdError(f"{api.name} {api.version} does not compile for SM {sm}; it knows {', '.join(sorted(known))}")
    return getattr(members, name)


def _allow(api: TensorRT, config: Any, header: OnnxHeader) -> tuple[str, ...]:
    """Allow a weakly typed network the precisions that its graph holds."""
    wanted = [("FP16", header.half), ("INT8", header.quantised)]
    allowed = tuple(name for name, held in wanted if held)
    for name in allowed:
        flag = api.builder_flag(name)
        if flag is None:
            raise SegkdError(f"{api.name} {api.version} has neither strong typing nor the flag {name}")
        config.set_flag(flag)
    return allowed


def _add_profile(builder: Any, config: Any, network: Any, options: BuildOptions) -> None:
    """Say which batches a graph with a free batch is for; no other dimension may be free."""
    free = []
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(tensor.shape)
        if -1 in shape[1:]:
            raise SegkdError(f"input {tensor.name} {shape}: only the batch may be free; export with a fixed --imgsz")
        if -1 in shape:
            free.append((tensor.name, shape[1:]))
    if not free:
        return
    profile = builder.create_optimization_profile()
    for name, rest in free:
        profile.set_shape(name, *((batch, *rest) for batch in options.batches))
    config.add_optimization_profile(profile)


def _use_times(config: Any, path: Path) -> Any:
    """Give the builder the times that earlier builds measured; a file that it refuses is as good as none."""
    try:
        known = path.read_bytes()
    except OSError:
        known = b""
    times = config.create_timing_cache(known)
    if times is None:
        times = config.create_timing_cache(b"")
    config.set_timing_cache(times, False)
    return times
