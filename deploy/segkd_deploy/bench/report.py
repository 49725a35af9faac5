"""The content of ``bench.json``; ``schemas/bench.schema.json`` says what every field means."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segkd.files import sha256_file
from segkd_deploy.artifact import Artifact
from segkd_deploy.bench.latency import coefficient_of_variation, drift, early_stopping, summarise
from segkd_deploy.bench.memory import Memory
from segkd_deploy.bench.peak import Compute
from segkd_deploy.bench.scenarios import Calls, Scenario
from segkd_deploy.bench.settings import Settings
from segkd_deploy.bench.timing import Timing
from segkd_deploy.evidence import SCHEMA, write_evidence

STAGES = ("pre", "h2d", "compute", "d2h", "post")


@dataclass(frozen=True)
class MeasuredGraph:
    """The ``artifact`` object: which bytes were measured."""

    path: str
    variant: str
    manifest_sha256: str
    sha256: str
    precision: str
    opset: int
    bytes: int

    @classmethod
    def of(cls, artifact: Artifact, variant: str) -> MeasuredGraph:
        """A variant of an artifact."""
        record = artifact.manifest.variant(variant)
        return cls(
            path=record.file,
            variant=variant,
            manifest_sha256=artifact.manifest_sha256,
            sha256=record.sha256,
            precision=record.precision,
            opset=record.opset,
            bytes=record.bytes,
        )


@dataclass(frozen=True)
class Method:
    """The ``method`` object: how it was measured."""

    scenario: str
    fps: float | None
    deadline_ms: float | None
    late: str | None
    batch: int
    warmup_s: float
    warmup_iterations: int
    settled: bool | None
    duration_s: float
    iterations: int
    clock: str
    stages_clock: str | None
    includes_transfers: bool
    includes_preprocess: bool
    cuda_graph: bool
    zero_copy: bool
    spin_wait: bool | None
    percentile: str
    cpu_affinity: list[int] | None
    settings: Settings

    @classmethod
    def of(cls, timing: Timing, settings: Settings, scenario: Scenario, runtime: Mapping[str, Any]) -> Method:
        """How a timing came about.

        Args:
            timing: what was measured.
            settings: what was asked for.
            scenario: how frames came.
            runtime: what the runner says of itself.
        """
        spinning = runtime["threads"] > 1 if runtime.get("name") == "onnxruntime" else None
        stages_clock = "perf_counter" if spinning is not None else "cuda_event"
        rate = scenario.describe()
        return cls(
            scenario=scenario.name,
            fps=rate.get("fps"),
            deadline_ms=rate.get("deadline_ms"),
            late=rate.get("late"),
            batch=timing.batch,
            warmup_s=timing.warmup_s,
            warmup_iterations=timing.warmup_iterations,
            settled=timing.settled,
            duration_s=timing.calls.duration_s,
            iterations=len(timing.latencies_ns),
            clock="perf_counter",
            stages_clock=stages_clock if timing.calls.stage_names else None,
            includes_transfers=True,
            includes_preprocess=False,
            cuda_graph=bool(runtime.get("cuda_graph")),
            zero_copy=bool(runtime.get("zero_copy")),
            spin_wait=spinning,
            percentile="nearest-rank",
            cpu_affinity=sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
            settings=settings,
        )


@dataclass(frozen=True)
class Results:
    """Latency, stages, throughput and what the scenario adds, of the whole or of one point of a sweep.

    Attributes:
        latency_ms: ``min mean std p50 p90 p95 p99 p99_9 max``.
        early_stopping_ms: ``confidence p90 p99 p99_9``.
        stages_ms: stage of ``STAGES`` -> mean; None where the runtime cannot tell it apart.
        stages_p50_ms: stage -> median.
        throughput_fps: frames per second.
        variation: standard deviation over mean.
        drift: of the median from the first to the last quarter.
        scenario: the scenario's name and what it adds.
    """

    latency_ms: dict[str, float]
    early_stopping_ms: dict[str, float | None]
    stages_ms: dict[str, float | None]
    stages_p50_ms: dict[str, float | None]
    throughput_fps: float
    variation: float
    drift: float
    scenario: tuple[str, dict[str, Any]]

    @classmethod
    def of(cls, timing: Timing, scenario: Scenario) -> Results:
        """The results of a timing."""
        stages = timing.calls.stages()
        return cls(
            latency_ms=summarise(timing.latencies_ns),
            early_stopping_ms=early_stopping(timing.latencies_ns),
            stages_ms={name: float(stages[name].mean()) if name in stages else None for name in STAGES},
            stages_p50_ms={name: float(np.median(stages[name])) if name in stages else None for name in STAGES},
            throughput_fps=timing.throughput_fps,
            variation=coefficient_of_variation(timing.latencies_ns),
            drift=drift(timing.latencies_ns),
            scenario=(scenario.name, scenario.results(timing.calls, timing.batch)),
        )

    def to_dict(self, *names: str) -> dict[str, Any]:
        """For JSON, with the scenario's part under its name; all fields, or those of some names."""
        kept = {key: value for key, value in vars(self).items() if key != "scenario" and (not names or key in names)}
        return kept | dict([self.scenario])


@dataclass(frozen=True)
class BenchReport:
    """One measurement of one graph, the content of ``bench.json`` without the raw times' hash.

    Attributes:
        created: when, UTC.
        artifact: which bytes.
        runtime: what the runner says of itself.
        device: of ``describe_device``, and what was seen meanwhile.
        method: how it was measured.
        results: what was measured.
        compute: operations, and how near they come to the device's peak.
        load: the cold start.
        memory: in bytes.
        power: of ``telemetry.energy``.
        thermal: of the telemetry.
        sweep: the objects of a sweep's points.
        invalid_reasons: why it must not be used.
        warnings: what to know when using it.
        calls: the timed calls.
    """

    created: str
    artifact: MeasuredGraph
    runtime: dict[str, Any]
    device: dict[str, Any]
    method: Method
    results: Results
    compute: Compute
    load: dict[str, Any]
    memory: Memory
    power: dict[str, Any]
    thermal: dict[str, Any]
    sweep: list[dict[str, Any]]
    invalid_reasons: list[str]
    warnings: list[str]
    calls: Calls

    def __bool__(self) -> bool:
        """Whether it may be used."""
        return not self.invalid_reasons

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what a runtime or machine does not have is None."""
        return {
            "schema": SCHEMA,
            "created": self.created,
            "artifact": asdict(self.artifact),
            "runtime": self.runtime,
            "device": self.device,
            "method": asdict(self.method),
            **self.results.to_dict(),
            "compute": asdict(self.compute),
            "load": self.load,
            "memory": asdict(self.memory),
            "power": self.power,
            "thermal": self.thermal,
            "sweep": self.sweep,
            "valid": bool(self),
            "invalid_reasons": self.invalid_reasons,
            "warnings": self.warnings,
            "latencies_ns": self.calls.latencies_ns,
        }


def times_path(path: Path) -> Path:
    """Where the raw times of a measurement lie: ``bench.times.npz`` beside ``bench.json``."""
    return path.with_name(f"{path.name.removesuffix('.json')}.times.npz")


def write_bench(path: Path, report: BenchReport) -> dict[str, Any]:
    """Write a measurement: its raw times first, then ``bench.json``, which has their hash.

    The raw times are a NumPy archive: ``latency_ns``, ``start_ns`` (from the begin of the timed window), ``due_ns`` (at
    a fixed rate) and ``STAGE_ms``, a value per call each.

    Args:
        path: the file of the report.
        report: the measurement.

    Returns:
        What was written: the report with ``raw``, the name and sha256 of the raw times.

    Raises:
        SegkdError: if it cannot be written there.
    """
    calls = report.calls
    arrays: dict[str, Any] = {
        "latency_ns": np.asarray(calls.latencies_ns, np.int64),
        "start_ns": np.asarray(calls.starts_ns, np.int64) - calls.begin_ns,
        **{f"{name}_ms": values for name, values in calls.stages().items()},
    }
    if calls.due_ns:
        arrays["due_ns"] = np.asarray(calls.due_ns, np.int64) - calls.begin_ns
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)

    raw = times_path(path)
    write_evidence(raw, content.getvalue())
    written = {**report.to_dict(), "raw": {"file": raw.name, "sha256": sha256_file(raw)}}
    write_evidence(path, written)
    return written
