"""The content of ``bench.json``; ``schemas/bench.schema.json`` says what every field means."""

from __future__ import annotations

import io
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from segkd.files import sha256_file, write_atomic
from segkd_deploy.artifact import Artifact
from segkd_deploy.bench.latency import coefficient_of_variation, drift, early_stopping, summarise
from segkd_deploy.bench.scenarios import Calls, Scenario
from segkd_deploy.bench.settings import Settings
from segkd_deploy.bench.timing import Timing
from segkd_deploy.evidence import write_evidence

STAGES = ("pre", "h2d", "compute", "d2h", "post")


def describe_artifact(artifact: Artifact, variant: str) -> dict[str, Any]:
    """The ``artifact`` object: which bytes were measured."""
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


def describe_method(timing: Timing, settings: Settings, scenario: Scenario, used: dict[str, Any]) -> dict[str, Any]:
    """The ``method`` object: how it was measured.

    Args:
        timing: what was measured.
        settings: what was asked for.
        scenario: how frames came.
        used: what the runner says of itself.
    """
    spinning = used["threads"] > 1 if used.get("name") == "onnxruntime" else None
    stages = timing.calls.stage_names
    return {
        "scenario": scenario.name,
        **{name: scenario.describe().get(name) for name in ("fps", "deadline_ms", "late")},
        "batch": timing.batch,
        "warmup_s": timing.warmup_s,
        "warmup_iterations": timing.warmup_iterations,
        "settled": timing.settled,
        "duration_s": timing.calls.duration_s,
        "iterations": len(timing.latencies_ns),
        "clock": "perf_counter",
        "stages_clock": None if not stages else "perf_counter" if spinning is not None else "cuda_event",
        "includes_transfers": True,
        "includes_preprocess": False,
        "cuda_graph": bool(used.get("cuda_graph")),
        "zero_copy": bool(used.get("zero_copy")),
        "spin_wait": spinning,
        "percentile": "nearest-rank",
        "cpu_affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "settings": asdict(settings),
    }


def describe_results(timing: Timing, scenario: Scenario) -> dict[str, Any]:
    """Latency, stages, throughput and what the scenario adds; used for the whole and for every point of a sweep."""
    stages = timing.calls.stages()
    return {
        "latency_ms": summarise(timing.latencies_ns),
        "early_stopping_ms": early_stopping(timing.latencies_ns),
        "stages_ms": {name: float(stages[name].mean()) if name in stages else None for name in STAGES},
        "stages_p50_ms": {name: float(np.median(stages[name])) if name in stages else None for name in STAGES},
        "throughput_fps": timing.throughput_fps,
        "variation": coefficient_of_variation(timing.latencies_ns),
        "drift": drift(timing.latencies_ns),
        scenario.name: scenario.results(timing.calls, timing.batch),
    }


def times_path(path: Path) -> Path:
    """Where the raw times of a measurement lie: ``bench.times.npz`` beside ``bench.json``."""
    return path.with_name(f"{path.name.removesuffix('.json')}.times.npz")


def write_bench(path: Path, report: dict[str, Any], calls: Calls) -> dict[str, Any]:
    """Write a measurement: its raw times first, then ``bench.json``, which has their hash.

    The raw times are a NumPy archive: ``latency_ns``, ``start_ns`` (from the begin of the timed window), ``due_ns`` (at
    a fixed rate) and ``STAGE_ms``, a value per call each.

    Args:
        path: the file of the report.
        report: its content.
        calls: the timed calls.

    Returns:
        The report with ``raw``: the file's name and sha256.

    Raises:
        SegkdError: if it cannot be written there.
    """
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
    write_bytes_as_evidence(raw, content.getvalue())
    report = {**report, "raw": {"file": raw.name, "sha256": sha256_file(raw)}}
    write_evidence(path, report)
    return report


def write_bytes_as_evidence(path: Path, content: bytes) -> None:
    """Write bytes in one step; an error says what to do.

    Raises:
        SegkdError: if it cannot be written there.
    """
    from segkd.errors import SegkdError

    try:
        write_atomic(path, content)
    except OSError as error:
        raise SegkdError(f"{path}: cannot be written ({error.strerror}); name another file with --out") from error
