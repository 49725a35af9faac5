"""Measuring latency: real frames, a warm-up, the tail kept, and what the machine was like."""

from __future__ import annotations

import datetime
import gc
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError
from segkd_deploy.artifact import Artifact
from segkd_deploy.cold_start import measure_cold_start
from segkd_deploy.device import cpu_mhz, describe_device
from segkd_deploy.evidence import SCHEMA
from segkd_deploy.latency import coefficient_of_variation, drift, summarise
from segkd_deploy.runners import Runner, open_runner

UNSTABLE_VARIATION = 0.05
WARNING_DRIFT = 0.03
# Fewer values than this give a 99th percentile that is not 99 % certain (MLPerf's early stopping rule).
P99_ITERATIONS = 662

STAGES = ("pre", "h2d", "compute", "d2h", "post")
POWER_FIELDS = ("rail", "idle_w", "mean_w", "max_w", "samples", "energy_mj_per_frame", "net_energy_mj_per_frame")
THERMAL_FIELDS = ("start_c", "max_c", "throttled", "events")


@dataclass(frozen=True)
class Settings:
    """How long to measure; every pair of bounds holds at once: at least the iterations *and* the seconds.

    Attributes:
        preset: the name of the preset these come from.
        iterations: timed iterations.
        duration_s: timed seconds.
        warmup_iterations: iterations before the timed ones.
        warmup_s: seconds before the timed ones.
        max_drift: a larger rise of the median from the first to the last quarter makes the measurement invalid;
            None only warns: over a few seconds a shared machine drifts by itself.
        cold_starts: fresh processes.
    """

    preset: str
    iterations: int
    duration_s: float
    warmup_iterations: int
    warmup_s: float
    max_drift: float | None
    cold_starts: int


PRESETS: dict[str, Settings] = {
    "quick": Settings("quick", 50, 2.0, 10, 0.5, None, 3),
    "standard": Settings("standard", P99_ITERATIONS, 60.0, 50, 2.0, WARNING_DRIFT, 5),
}


@dataclass(frozen=True)
class Timing:
    """What ``measure`` measured.

    Attributes:
        latencies_ns: of every timed call, in order.
        batch: frames per call.
        warmup_iterations: calls before the timed ones.
        warmup_s: how long they took.
        duration_s: wall time of the timed calls and what lies between them.
        stages_ms: mean of every stage that the runtime can tell apart.
    """

    latencies_ns: list[int]
    batch: int
    warmup_iterations: int
    warmup_s: float
    duration_s: float
    stages_ms: dict[str, float]


def measure(
    runner: Runner,
    frames: NDArray[np.uint8],
    *,
    iterations: int,
    duration_s: float,
    warmup_iterations: int = 10,
    warmup_s: float = 0.5,
) -> Timing:
    """Time ``runner.infer`` on frames in turn, with the garbage collector off.

    Args:
        runner: an open runner.
        frames: uint8, at least one, of the shape ``runner.spec.frames_shape(N)``.
        iterations: time at least this many calls ...
        duration_s: ... and at least this many seconds.
        warmup_iterations: at least this many calls before ...
        warmup_s: ... and at least this many seconds.

    Raises:
        SegkdError: without frames or iterations, or for frames that the runner refuses.
    """
    if not len(frames) or iterations < 1:
        raise SegkdError(f"expected at least one frame and one iteration, got {len(frames)} and {iterations}")
    batch = runner.spec.batch or 1
    batches = [
        np.ascontiguousarray(frames.take(range(start, start + batch), axis=0, mode="wrap"))
        for start in range(0, len(frames), batch)
    ]
    out = np.empty(runner.spec.labels_shape(batch), np.uint8)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        warm_ns, _, warm_s = _repeat(runner, batches, out, warmup_iterations, warmup_s)
        latencies_ns, stages, wall_s = _repeat(runner, batches, out, iterations, duration_s)
    finally:
        if collecting:
            gc.enable()
    means = {name: statistics.fmean(stage[name] for stage in stages) for name in (stages[0] if stages else {})}
    return Timing(latencies_ns, batch, len(warm_ns), warm_s, wall_s, means)


def _repeat(
    runner: Runner, batches: list[NDArray[np.uint8]], out: NDArray[np.uint8], iterations: int, duration_s: float
) -> tuple[list[int], list[dict[str, float]], float]:
    latencies_ns: list[int] = []
    stages: list[dict[str, float]] = []
    clock = time.perf_counter_ns
    start_ns = clock()
    deadline_ns = start_ns + int(duration_s * 1e9)
    while len(latencies_ns) < iterations or clock() < deadline_ns:
        frames = batches[len(latencies_ns) % len(batches)]
        before_ns = clock()
        runner.infer(frames, out)
        latencies_ns.append(clock() - before_ns)
        stages.append(runner.last_stages_ms)
    return latencies_ns, stages, (clock() - start_ns) / 1e9


def judge(latencies_ns: Sequence[int], settings: Settings) -> tuple[list[str], list[str]]:
    """Why a measurement must not be used, and what to know when using it.

    Returns:
        Reasons that make it invalid, and warnings.
    """
    invalid, warnings = [], []
    if len(latencies_ns) < settings.iterations:
        invalid.append(f"{len(latencies_ns)} iterations, {settings.iterations} were asked for")
    change = drift(latencies_ns)
    if settings.max_drift is not None and change > settings.max_drift:
        invalid.append(
            f"the median rose by {change:.1%} from the first to the last quarter, above {settings.max_drift:.0%}"
        )
    elif abs(change) > WARNING_DRIFT:
        warnings.append(f"the median changed by {change:+.1%} from the first to the last quarter")
    variation = coefficient_of_variation(latencies_ns)
    if variation > UNSTABLE_VARIATION:
        warnings.append(f"unstable: standard deviation is {variation:.1%} of the mean, above {UNSTABLE_VARIATION:.0%}")
    if len(latencies_ns) < P99_ITERATIONS:
        warnings.append(f"p99 of {len(latencies_ns)} iterations is uncertain; {P99_ITERATIONS} make it 99 % certain")
    return invalid, warnings


def bench_artifact(
    artifact: Artifact,
    variant: str,
    settings: Settings,
    *,
    runtime: str = "onnxruntime",
    provider: str = "cpu",
    threads: int | None = None,
) -> dict[str, Any]:
    """Measure one variant of an artifact on this machine.

    Args:
        artifact: the artifact; its reference frames are the input.
        variant: a variant of its manifest.
        settings: how long to measure.
        runtime: a key of ``RUNNERS``.
        provider: the runtime's provider.
        threads: threads inside an operator; None for one per physical core.

    Returns:
        The content of ``bench.json``; fields that this runtime or machine does not have are None.

    Raises:
        SegkdError: for an unknown variant or runtime.
        BackendMissing: if the runtime or provider is not there.
    """
    graph, spec = artifact.graph(variant), artifact.spec()
    device = describe_device()
    with open_runner(graph, runtime, provider=provider, threads=threads, spec=spec) as runner:
        used = runner.describe()
        timing = measure(
            runner,
            artifact.frames(),
            iterations=settings.iterations,
            duration_s=settings.duration_s,
            warmup_iterations=settings.warmup_iterations,
            warmup_s=settings.warmup_s,
        )
    device |= {"cpu_mhz_after": cpu_mhz(), "sm": used.get("sm"), "cuda": used.get("cuda_runtime")}
    cold = measure_cold_start(
        graph, spec, runtime=runtime, provider=provider, threads=threads, repetitions=settings.cold_starts
    )
    invalid, warnings = judge(timing.latencies_ns, settings)
    if device["load_1min"] is not None and device["load_1min"] > device["cores"]:
        warnings.append(f"load {device['load_1min']} on {device['cores']} cores: other processes compete")
    return {
        "schema": SCHEMA,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "artifact": _artifact(artifact, variant),
        "runtime": used,
        "device": device,
        "method": _method(timing, settings, cuda_graph=bool(used.get("cuda_graph"))),
        **_results(timing),
        **_resources(cold, used.get("engine", {})),
        "valid": not invalid,
        "invalid_reasons": invalid,
        "warnings": warnings,
        "latencies_ns": timing.latencies_ns,
    }


def _artifact(artifact: Artifact, variant: str) -> dict[str, Any]:
    record = artifact.manifest.variant(variant)
    return {
        "path": record.file,
        "variant": variant,
        "manifest_sha256": artifact.manifest_sha256,
        "sha256": record.sha256,
        "precision": record.precision,
        "opset": record.opset,
        "bytes": record.bytes,
    }


def _results(timing: Timing) -> dict[str, Any]:
    return {
        "latency_ms": summarise(timing.latencies_ns),
        "stages_ms": {name: timing.stages_ms.get(name) for name in STAGES},
        "throughput_fps": len(timing.latencies_ns) * timing.batch / timing.duration_s,
        "variation": coefficient_of_variation(timing.latencies_ns),
        "drift": drift(timing.latencies_ns),
    }


def _resources(cold: dict[str, Any], engine: dict[str, Any]) -> dict[str, Any]:
    """Cold start and memory (bytes); what belongs to sensors is None, and to engines where there is none."""
    return {
        "load": {**cold, **{name: engine.get(name) for name in ("deserialize_ms", "context_ms", "build_s")}},
        "memory": {
            "engine_bytes": engine.get("bytes"),
            "device_bytes": engine.get("device_bytes"),
            "rss_peak": cold["rss_peak_bytes"],
            "ram_delta": None,
        },
        "power": dict.fromkeys(POWER_FIELDS),
        "thermal": dict.fromkeys(THERMAL_FIELDS),
    }


def _method(timing: Timing, settings: Settings, *, cuda_graph: bool) -> dict[str, Any]:
    return {
        "scenario": "single_stream",
        "batch": timing.batch,
        "warmup_s": timing.warmup_s,
        "warmup_iterations": timing.warmup_iterations,
        "duration_s": timing.duration_s,
        "iterations": len(timing.latencies_ns),
        "clock": "perf_counter",
        "includes_transfers": True,
        "includes_preprocess": False,
        "cuda_graph": cuda_graph,
        "spin_wait": None,
        "percentile": "nearest-rank",
        "cpu_affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "settings": asdict(settings),
    }
