"""One measurement of one graph: latency, throughput, memory, cold start, energy, and whether to believe it."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.machine.cpus import usable_cores
from segkd_deploy.artifact import Artifact
from segkd_deploy.bench.cold_start import measure_cold_start
from segkd_deploy.bench.machine_load import busy, cpu_times, judge_load, others_share
from segkd_deploy.bench.memory import Memory, MemoryProbe, Taken
from segkd_deploy.bench.peak import Compute, count_flops, describe_compute, measure_peak
from segkd_deploy.bench.report import BenchReport, MeasuredGraph, Method, Results
from segkd_deploy.bench.run_options import RunOptions
from segkd_deploy.bench.scenarios import Scenario
from segkd_deploy.bench.scenarios.single_stream import SingleStream
from segkd_deploy.bench.settings import PRESETS, Settings
from segkd_deploy.bench.sweep import check_batches, sweep_points
from segkd_deploy.bench.timing import Timing, judge, measure
from segkd_deploy.bench.watch import Watch
from segkd_deploy.device import cpu_mhz, describe_device
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.runners.onnx_profile import nodes_per_provider

# The peak takes this long, or as long as the timed calls if they take less.
PEAK_S = 1.0


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        settings: how long.
        options: with what.
        scenario: how frames come.
        sweep: axis of ``sweep.AXES`` -> values; every combination is measured after the options' own.
        peak: whether to measure the device's peak for comparison.
        telemetry: whether to sample power, heat and throttling.
        lock_clocks: whether to lock the clocks meanwhile.
        root: where the system's files are.
    """

    settings: Settings = PRESETS["quick"]
    options: RunOptions = field(default_factory=RunOptions)
    scenario: Scenario = field(default_factory=SingleStream)
    sweep: Mapping[str, Sequence[int]] = field(default_factory=dict)
    peak: bool = True
    telemetry: bool = True
    lock_clocks: bool = False
    root: Path = Path("/")


@dataclass(frozen=True)
class Point:
    """One timed configuration.

    Attributes:
        timing: what was measured.
        used: what the runner says of itself.
        taken: memory.
        power: the ``power`` object.
        thermal: the ``thermal`` object.
        others: share of the CPUs that other processes used meanwhile.
        invalid: why it must not be used.
        warnings: what to know when using it.
    """

    timing: Timing
    used: dict[str, Any]
    taken: Taken
    power: dict[str, Any]
    thermal: dict[str, Any]
    others: float | None
    invalid: list[str]
    warnings: list[str]


def bench_artifact(
    artifact: Artifact, variant: str, plan: Plan, say: Callable[[str], None] | None = None
) -> BenchReport:
    """Measure one variant of an artifact on this machine; its reference frames are the input.

    Args:
        artifact: the artifact.
        variant: a variant of its manifest.
        plan: what is measured.
        say: is told what begins; nothing is said while calls are timed.

    Raises:
        SegkdError: for an unknown variant or runtime, or options that do not fit the graph.
        BackendMissing: if the runtime or provider is not there.
    """
    say = say or (lambda line: None)
    graph, spec, settings = artifact.graph(variant), artifact.spec(), plan.settings
    points = sweep_points(plan.options, plan.sweep)
    check_batches([one.batch for one in (plan.options, *points) if one.batch], artifact.manifest.input)
    device = describe_device(plan.root)
    for line in busy(device["load_1min"], os.cpu_count() or 1):
        say(f"{variant}: {line}")
    gpu = plan.options.gpu_index or 0
    with Watch(sample=plan.telemetry, lock_clocks=plan.lock_clocks, gpu=gpu, root=plan.root) as watch:
        say(f"{variant}: warm-up, at least {settings.iterations} calls and {settings.duration_s:g} s")
        point = _measure_point(artifact, variant, plan, plan.options, watch)
        compute, warnings = _compute(artifact, variant, plan, point)
        swept = []
        for options in points:
            say(f"{variant}: {_named(options, plan.sweep)}")
            swept.append(_swept(artifact, variant, plan, options, watch))
        say(f"{variant}: {settings.cold_starts} cold starts")
        cold = measure_cold_start(graph, spec, repetitions=settings.cold_starts, **dataclasses.asdict(plan.options))
    used, engine = {**point.used, "nodes": _nodes(graph, spec, plan.options)}, point.used.get("engine", {})
    if used["nodes"] is not None and len(used["nodes"]) > 1:
        warnings.append(f"not all nodes run on {used['provider']}: {used['nodes']}")
    # What the runner knows of its GPU wins; without one the machine's own word stays.
    device |= {"cpu_mhz_after": cpu_mhz(), "clocks_locked_by_segkd": plan.lock_clocks}
    device |= {name: used[key] for name, key in (("sm", "sm"), ("cuda", "cuda_runtime")) if used.get(key) is not None}
    device["others_cpu_share"] = point.others
    warnings += busy(device["load_1min"], os.cpu_count() or 1)
    if device["cpu_quota"] is not None:
        warnings.append(
            f"a CPU quota is in force: {device['cpu_quota']:g} CPUs for this control group; calls that use it up wait "
            "for its next period, which makes p99 long"
        )
    return BenchReport(
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        artifact=MeasuredGraph.of(artifact, variant),
        runtime=used,
        device=device,
        method=Method.of(point.timing, settings, plan.scenario, used),
        results=Results.of(point.timing, plan.scenario),
        compute=compute,
        load={**cold, **{name: engine.get(name) for name in ("deserialize_ms", "context_ms", "build_s")}},
        memory=_memory(engine, point.taken, cold["rss_peak_bytes"]),
        power=point.power,
        thermal=point.thermal,
        sweep=swept,
        invalid_reasons=point.invalid,
        warnings=[*point.warnings, *warnings],
        calls=point.timing.calls,
    )


def _memory(engine: Mapping[str, Any], taken: Taken, rss_peak: int | None) -> Memory:
    """Bytes of an engine, where there is one, of the device and of the machine."""
    return Memory(engine.get("bytes"), engine.get("device_bytes"), taken.device_bytes, rss_peak, taken.ram_bytes)


def _measure_point(artifact: Artifact, variant: str, plan: Plan, options: RunOptions, watch: Watch) -> Point:
    spec, batch_range = artifact.spec(), artifact.manifest.input.batch_range
    batch = options.batch or plan.scenario.batch(spec, batch_range)
    check_batches([batch], artifact.manifest.input)
    options = dataclasses.replace(options, batch=batch)
    memory = MemoryProbe(options)
    with options.open(artifact.graph(variant), spec) as runner:
        used = runner.describe()
        before = cpu_times(plan.root)
        timing = measure(runner, artifact.frames(), plan.settings, plan.scenario, batch)
        others = others_share(before, cpu_times(plan.root))
        taken = memory.taken()
    power, thermal, throttled, uncertain = watch.seen(timing)
    invalid, warnings = judge(timing, plan.settings, plan.scenario)
    disturbed, disturbing = judge_load(others)
    reasons = [*invalid, *disturbed, *throttled]
    return Point(timing, used, taken, power, thermal, others, reasons, [*warnings, *disturbing, *uncertain])


def _compute(artifact: Artifact, variant: str, plan: Plan, point: Point) -> tuple[Compute, list[str]]:
    """The ``compute`` object, and a warning if the peak could not be measured."""
    record = artifact.manifest.variant(variant)
    flops, source = getattr(record, "flops", None) or getattr(artifact.manifest, "flops", None), "manifest"
    if flops is None:
        flops, source = count_flops(artifact.graph(variant), artifact.spec()), "graph"
    peak = None
    warnings = []
    if plan.peak and flops is not None:
        try:
            seconds = min(PEAK_S, plan.settings.duration_s)
            # The peak's graph has no logits.
            peak = measure_peak(dataclasses.replace(plan.options, decoder="auto"), record.precision, seconds)
        except SegkdError as error:
            warnings.append(f"the device's peak could not be measured: {error}")
    stages = point.timing.calls.stages()
    compute_ms = (
        stages["compute"].tolist()
        if "compute" in stages
        else [value / 1e6 for value in point.timing.calls.services_ns()]
    )
    return describe_compute(flops, source, point.timing.batch, compute_ms, peak), warnings


def _nodes(graph: Path, spec: GraphSpec, options: RunOptions) -> dict[str, int] | None:
    """Nodes per provider, where they may be shared; TensorRT's provider would build its engine again to tell."""
    if options.runtime != "onnxruntime" or options.provider in {"cpu", "tensorrt"}:
        return None
    return nodes_per_provider(graph, spec, options.provider, options.threads or usable_cores())


def _swept(artifact: Artifact, variant: str, plan: Plan, options: RunOptions, watch: Watch) -> dict[str, Any]:
    """A point of a sweep, for ``bench.json``."""
    point = _measure_point(artifact, variant, plan, options, watch)
    kept = ("latency_ms", "throughput_fps", "variation", "drift")
    return {
        "batch": point.timing.batch,
        "threads": point.used.get("threads"),
        **Results.of(point.timing, plan.scenario).to_dict(*kept),
        "energy_mj_per_frame": point.power["energy_mj_per_frame"],
        "ram_delta": point.taken.ram_bytes,
        "device_taken_bytes": point.taken.device_bytes,
        "valid": not point.invalid,
        "invalid_reasons": point.invalid,
        "warnings": point.warnings,
    }


def _named(options: RunOptions, axes: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{name} {getattr(options, name)}" for name in axes)
