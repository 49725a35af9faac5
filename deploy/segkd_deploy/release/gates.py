"""Gates: limits from a file, held against evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError, unknown_name
from segkd.yaml_lines import read_yaml_file
from segkd_deploy.artifact import Artifact
from segkd_deploy.evidence import Evidence
from segkd_deploy.parity import limits_of

Part = dict[str, Any]


@dataclass(frozen=True)
class Gate:
    """A quantity that can be limited.

    Attributes:
        measured: takes the variant's part of ``parity.json`` and its ``bench.json``.
        floor: the limit is the smallest allowed value, else the largest.
        fraction: values lie in 0..1.
        meaning: for people.
    """

    measured: Callable[[Part, Part], float | None]
    floor: bool
    fraction: bool
    meaning: str


def miou(parity: Part) -> tuple[float | None, str]:
    """The graph's mIoU and the set it was measured on: the whole set if validate scored one, else the reference."""
    whole = parity.get("whole_set")
    if whole:
        return whole["miou"], f"{whole['images']} images of {whole['data']}"
    return parity["miou"]["graph"], f"{parity['frames']} reference frames"


def _loss(parity: Part, _: Part) -> float | None:
    delta = parity["miou"]["delta"]
    return None if delta is None else max(0.0, -delta)


GATES: dict[str, Gate] = {
    "miou_floor": Gate(lambda parity, bench: miou(parity)[0], True, True, "mIoU of the graph, 0..1"),
    "miou_delta": Gate(_loss, False, True, "loss of mIoU from the source to the graph on the reference frames, 0..1"),
    "agreement": Gate(
        lambda parity, bench: parity["agreement"], True, True, "share of pixels with the source's label, 0..1"
    ),
    "p99_latency_ms": Gate(
        lambda parity, bench: bench["latency_ms"]["p99"], False, False, "99th percentile of the latency"
    ),
    "size_mb": Gate(
        lambda parity, bench: bench["artifact"]["bytes"] / 1e6, False, False, "the graph's file, 10^6 bytes"
    ),
}


@dataclass(frozen=True)
class Limits:
    """The limits of a gates file.

    Attributes:
        common: gate -> limit, for every variant.
        variants: variant -> gate -> limit, which win.
    """

    common: dict[str, float]
    variants: dict[str, dict[str, float]]

    def of(self, variant: str) -> dict[str, float]:
        """All limits for one variant."""
        return {**self.common, **self.variants.get(variant, {})}


def load_gates(path: Path, known_variants: Sequence[str]) -> Limits:
    """Read a gates file.

    Args:
        path: YAML: gate -> limit, and optionally ``variants``: variant -> gate -> limit.
        known_variants: the artifact's variants.

    Raises:
        SegkdError: if it cannot be read, is empty, names an unknown gate or variant, or a limit is no number or
            out of range.
    """
    content, _ = read_yaml_file(path)
    if not isinstance(content, dict) or not content:
        raise SegkdError(f"{path}: expected gates such as 'agreement: 0.9999'; known: {', '.join(GATES)}")
    variants = content.pop("variants", None) or {}
    if not isinstance(variants, dict):
        raise SegkdError(f"{path}: variants: expected a mapping variant -> gates")
    for name in variants:
        if name not in known_variants:
            raise SegkdError(f"{path}: {unknown_name('variant', str(name), known_variants)}")
    parts = {name: _limits(path, f"variants.{name}.", values) for name, values in variants.items()}
    return Limits(_limits(path, "", content), parts)


def _limits(path: Path, place: str, values: Any) -> dict[str, float]:
    if not isinstance(values, dict):
        raise SegkdError(f"{path}: {place.rstrip('.')}: expected a mapping gate -> limit")
    limits = {}
    for name, value in values.items():
        if name not in GATES:
            raise SegkdError(f"{path}: {place}{name}: {unknown_name('gate', str(name), [*GATES, 'variants'])}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            raise SegkdError(f"{path}: {place}{name}: expected a number of at least 0, got {value!r}")
        if GATES[name].fraction and value > 1:
            raise SegkdError(f"{path}: {place}{name}: expected a fraction 0..1, got {value!r}; 60 % is 0.6")
        limits[name] = float(value)
    return limits


def check_gates(
    artifact: Artifact, evidence: Evidence, limits: Limits, variants: Sequence[str]
) -> list[dict[str, Any]]:
    """Hold every variant against its limits.

    Agreement and loss of mIoU that the file does not limit are held against the limits of ``segkd validate``;
    measurements must be valid and logits finite in any case.

    Returns:
        One row per variant and gate: ``variant``, ``name``, ``limit``, ``measured``, ``passed``.
    """
    rows: list[dict[str, Any]] = []
    for variant in variants:
        parity, bench = evidence.parity["variants"][variant], evidence.benches[variant]
        default = limits_of(artifact.manifest.variant(variant).precision)
        wanted = {"miou_delta": default.miou_delta, "agreement": default.agreement, **limits.of(variant)}
        for name, gate in GATES.items():
            if name in wanted:
                rows.append(_row(variant, name, gate, wanted[name], gate.measured(parity, bench)))
        if parity["logits_finite"] is not None:
            rows.append(_flag(variant, "logits_finite", parity["logits_finite"]))
        rows.append(_flag(variant, "bench_valid", bench["valid"]))
    return rows


def _row(variant: str, name: str, gate: Gate, limit: float, measured: float | None) -> dict[str, Any]:
    passed = measured is not None and (measured >= limit if gate.floor else measured <= limit)
    return {"variant": variant, "name": name, "limit": limit, "measured": measured, "passed": passed}


def _flag(variant: str, name: str, value: Any) -> dict[str, Any]:
    return {"variant": variant, "name": name, "limit": True, "measured": bool(value), "passed": bool(value)}
