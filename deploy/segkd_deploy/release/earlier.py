"""The gates of bundles that an earlier segkd released, whose file of gates could also loosen the limits.

Its evidence is told by what it does not say: in which precision a graph was computed. Evidence of today says so in
every variant, so that no bundle of today is judged by these rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segkd.files import finite
from segkd_deploy.gates import GATES, load_gates, miou
from segkd_deploy.release.bundle import Release

# Precision -> what held where the file of gates gave no limit.
_DEFAULTS: dict[str, dict[str, float]] = {
    "fp32": {"agreement": 0.9999, "miou_delta": 0.0005},
    "fp16": {"agreement": 0.999, "miou_delta": 0.002},
    "int8": {"agreement": 0.99, "miou_delta": 0.01},
}
_NAMES = ("miou_floor", "miou_delta", "agreement", "p99_latency_ms", "size_mb")


def earlier_rows(release: Release) -> list[dict[str, Any]] | None:
    """The rows of ``release.json`` as an earlier segkd would have written them.

    Args:
        release: made from the bundle's own files.

    Returns:
        None where the evidence, or the file of gates, is none of that time.
    """
    parts, artifact = release.evidence.parity["variants"], release.artifact
    wanted = load_gates(release.gates_file, artifact.variants())
    known = all(key.rpartition(".")[2] in _NAMES for key in wanted)
    if not known or any("computed_in" in part for part in parts.values()):
        return None

    rows = []
    for variant, bench in release.evidence.benches.items():
        limits = dict(_DEFAULTS[artifact.manifest.variant(variant).precision])
        for scope in ("", variant):
            limits |= {name: wanted[key] for name in _NAMES if (key := f"{scope}.{name}".lstrip(".")) in wanted}
        rows += [{"variant": variant, **row} for row in _rows(parts[variant], bench, limits)]
    return rows


def _rows(parity: Mapping[str, Any], bench: Mapping[str, Any], limits: Mapping[str, float]) -> list[dict[str, Any]]:
    rows = []
    for name in (name for name in _NAMES if name in limits):
        value = finite(_value(name, parity, bench))
        passed = value is not None and (value >= limits[name] if GATES[name].floor else value <= limits[name])
        rows.append({"name": name, "limit": limits[name], "measured": value, "passed": passed})
    flags = {"logits_finite": parity.get("logits_finite"), "bench_valid": bench["valid"]}
    flags = {name: bool(flag) for name, flag in flags.items() if flag is not None}
    return rows + [{"name": name, "limit": True, "measured": flag, "passed": flag} for name, flag in flags.items()]


def _value(name: str, parity: Mapping[str, Any], bench: Mapping[str, Any]) -> float | None:
    """The value of a gate; of mIoU only a loss counted."""
    if name != "miou_delta":
        value: float | None = miou(parity)[0] if name == "miou_floor" else GATES[name].value(parity, bench)
        return value
    delta = parity["miou"]["delta"]
    return None if delta is None else max(0.0, -delta)
