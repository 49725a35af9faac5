"""Evidence about an artifact (``parity.json``, ``bench.json``, ``release.json``) as parts of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segkd.report.content import Gate, Latency, ParityRow


def parity_rows(parity: Mapping[str, Any]) -> list[ParityRow]:
    """One row per variant of a ``parity.json``."""
    return [_parity_row(name, variant) for name, variant in parity.get("variants", {}).items()]


def _parity_row(name: str, variant: Mapping[str, Any]) -> ParityRow:
    flips, miou = variant.get("flips") or {}, variant.get("miou") or {}
    return ParityRow(
        variant=name,
        agreement=variant.get("agreement"),
        flips=flips.get("total"),
        flips_interior=flips.get("interior"),
        flips_boundary=flips.get("boundary"),
        miou_source=miou.get("source"),
        miou_graph=miou.get("graph"),
        frames=variant.get("frames"),
    )


def parity_gates(parity: Mapping[str, Any]) -> list[Gate]:
    """The gates inside a ``parity.json``, each with its variant's name."""
    return [
        _gate({**gate, "name": f"{name}: {gate.get('name')}"})
        for name, variant in parity.get("variants", {}).items()
        for gate in variant.get("gates") or []
    ]


def release_gates(release: Mapping[str, Any]) -> list[Gate]:
    """The gates of a ``release.json``, each with its variant's name."""
    gates = release.get("gates") or []
    return [
        _gate({**gate, "name": ": ".join(str(gate[k]) for k in ("variant", "name") if k in gate)}) for gate in gates
    ]


def _gate(gate: Mapping[str, Any]) -> Gate:
    measured = gate.get("measured", gate.get("value"))
    return Gate(str(gate.get("name")), _text(gate.get("limit")), _text(measured), bool(gate.get("passed")))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else str(value)


def latency(bench: Mapping[str, Any]) -> Latency | None:
    """The latency of a ``bench.json``; None if it has no median."""
    measured = bench.get("latency_ms") or {}
    if measured.get("p50") is None:
        return None
    return Latency(
        p50_ms=measured["p50"],
        p90_ms=measured.get("p90"),
        p99_ms=measured.get("p99"),
        values_ms=[value / 1e6 for value in bench.get("latencies_ns") or []],
        facts=_facts(bench),
        warnings=[*(bench.get("invalid_reasons") or []), *(bench.get("warnings") or [])],
        valid=bench.get("valid", True) is not False,
    )


def _facts(bench: Mapping[str, Any]) -> dict[str, str]:
    """Everything without which a latency says nothing: machine, runtime, provider, threads, what was included."""
    device, runtime, method = bench.get("device") or {}, bench.get("runtime") or {}, bench.get("method") or {}
    artifact, load, memory = bench.get("artifact") or {}, bench.get("load") or {}, bench.get("memory") or {}
    rss, cold = memory.get("rss_peak"), load.get("total_ms")
    facts = {
        "device": device.get("model"),
        "cores": device.get("cores"),
        "runtime": " ".join(str(runtime[key]) for key in ("name", "version") if runtime.get(key)),
        "provider": runtime.get("provider"),
        "threads": runtime.get("threads"),
        "variant": artifact.get("variant"),
        "batch": method.get("batch"),
        "iterations": method.get("iterations"),
        "throughput": f"{bench['throughput_fps']:.1f} frames/s" if bench.get("throughput_fps") else None,
        "cold start to first labels": f"{cold:.0f} ms" if cold is not None else None,
        "peak memory": f"{rss / 2**20:.0f} MiB" if rss else None,
        "measured": bench.get("created"),
    }
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}
