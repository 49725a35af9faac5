from __future__ import annotations

from typing import Any

from segkd.report.content import Gate, ParityRow
from segkd.report.evidence_files import latency, parity_gates, parity_rows, release_gates

PARITY: dict[str, Any] = {
    "variants": {
        "fp32": {
            "agreement": 0.9999,
            "flips": {"total": 12, "interior": 2, "boundary": 10},
            "miou": {"source": 0.5, "graph": 0.499, "delta": -0.001},
            "frames": 8,
            "gates": [{"name": "agreement", "limit": ">= 0.9999", "measured": 0.9999, "passed": True}],
        },
        "int8": {},
    }
}


def test_parity_rows() -> None:
    assert parity_rows(PARITY) == [
        ParityRow("fp32", 0.9999, 12, 2, 10, 0.5, 0.499, 8),
        ParityRow("int8"),
    ]
    assert parity_rows({}) == []


def test_gates() -> None:
    assert parity_gates(PARITY) == [Gate("fp32: agreement", ">= 0.9999", "0.9999", True)]
    gates = [
        {"variant": "fp32", "name": "size_mb", "limit": 5, "measured": 0.1234567, "passed": True},
        {"name": "logits_finite", "limit": True, "value": False, "passed": False},
        {"name": "p99_latency_ms", "limit": 5.0, "passed": False},
    ]
    assert release_gates({"gates": gates}) == [
        Gate("fp32: size_mb", "5", "0.123457", True),
        Gate("logits_finite", "yes", "no", False),
        Gate("p99_latency_ms", "5", "-", False),
    ]
    assert release_gates({}) == []


def test_latency() -> None:
    found = latency(
        {
            "latency_ms": {"p50": 1.5, "p90": 2.0, "p99": 3.0},
            "latencies_ns": [1_500_000, 2_000_000],
            "device": {"model": "a board", "cores": 6},
            "runtime": {"name": "onnxruntime", "version": "1.31", "provider": "CPUExecutionProvider", "threads": 1},
            "method": {"batch": 1},
            "load": {"total_ms": 812.3},
            "memory": {"rss_peak": 2**20 * 50},
            "throughput_fps": 600.04,
            "warnings": ["few calls"],
            "invalid_reasons": ["it drifted"],
            "valid": False,
        }
    )
    assert found is not None
    assert (found.p50_ms, found.p90_ms, found.p99_ms, found.values_ms) == (1.5, 2.0, 3.0, [1.5, 2.0])
    assert found.facts == {
        "device": "a board",
        "cores": "6",
        "runtime": "onnxruntime 1.31",
        "provider": "CPUExecutionProvider",
        "threads": "1",
        "batch": "1",
        "throughput": "600.0 frames/s",
        "cold start to first labels": "812 ms",
        "peak memory": "50 MiB",
    }
    assert found.warnings == ["it drifted", "few calls"]
    assert not found.valid


def test_a_bench_without_a_median_is_no_latency() -> None:
    assert latency({}) is None
    assert latency({"latency_ms": {"p50": None}}) is None
