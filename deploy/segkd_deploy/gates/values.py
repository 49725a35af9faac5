"""Where the value of each gate stands in ``parity.json`` and ``bench.json``; None where it was not measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from segkd_deploy.bench.settings import shortened

Part = Mapping[str, Any]


def miou(parity: Part) -> tuple[float | None, str]:
    """The graph's mIoU and the set it was measured on: the whole set if validate scored one, else the reference."""
    whole = parity.get("whole_set")
    if whole:
        return whole["miou"], f"{whole['images']} images of {whole['data']}"
    return parity["miou"]["graph"], f"{parity['frames']} reference frames"


def worst_class_change(parity: Part) -> tuple[str | None, float | None]:
    """The class that surely lost most and its change of IoU, 0 or less."""
    deltas, intervals = parity.get("per_class_delta") or {}, parity.get("per_class_interval") or {}
    found = worst_class({name: {"delta": deltas[name], "interval": intervals[name]} for name in deltas})
    return (None, None) if found is None else found


def worst_class(per_class: Mapping[str, Mapping[str, Any]]) -> tuple[str, float] | None:
    """The class that surely lost most, and the least that it lost.

    The loss of a class is the better end of its interval: where few frames show a class, a few pixels are many points,
    and drawing other frames would have shown another loss.
    """
    losses = {
        name: max(part["delta"], part["interval"][1])
        for name, part in per_class.items()
        if part["delta"] is not None and part["interval"][1] is not None
    }
    losses = {name: loss for name, loss in losses.items() if math.isfinite(loss)}
    if not losses:
        return None
    name = min(losses, key=lambda key: losses[key])
    return name, min(0.0, losses[name])


def own_miou(parity: Part) -> float | None:
    """The mIoU with the source's labels as truth, at the better end of its interval."""
    part = parity.get("self_miou") or {}
    values = [value for value in (part.get("value"), *(part.get("interval") or ())[1:]) if value is not None]
    return max(values) if values else None


def from_logits(parity: Part, key: str) -> float | None:
    """What the logits graph says; None without one, or where its logits are not finite."""
    return (parity.get("logits") or {}).get(key)


def finite_logits(parity: Part) -> bool | None:
    """Whether all logits are finite; None without a twin."""
    return parity.get("logits_finite")


def size_or_stretch(parity: Part) -> float | None:
    """Change of mIoU from the run's own evaluation to the graph, on the whole of the same data."""
    run = (parity.get("whole_set") or {}).get("run") or {}
    return run.get("miou_delta")


def size_mb(bench: Part) -> float | None:
    """Size of the graph's file in 10^6 bytes."""
    size = (bench.get("artifact") or {}).get("bytes")
    return None if size is None else size / 1e6


def fit_for_release(bench: Part) -> bool:
    """Whether a measurement is valid, and no shorter than its preset asks."""
    return not why_unfit(bench)


def why_unfit(bench: Part) -> list[str]:
    """Why a measurement does not count in a release."""
    settings = (bench.get("method") or {}).get("settings") or {}
    given = bench.get("invalid_reasons") or []
    reasons = [*given, *shortened(settings)]
    if bench.get("valid") is not True and not reasons:
        reasons.append("it is not valid")
    return list(dict.fromkeys(reasons))
