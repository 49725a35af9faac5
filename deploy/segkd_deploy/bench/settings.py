"""How long to measure: the presets, and what they ask for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segkd.errors import unknown_name

# Fewer values than these give a 90th or 99th percentile that is not 99 % certain (MLPerf's early stopping).
P90_ITERATIONS = 64
P99_ITERATIONS = 662
WARNING_DRIFT = 0.03
# A median that moves by more, up or down, is of two different machines: no preset takes it.
WORTHLESS_DRIFT = 0.25

# Keys of Settings that ``--iterations`` and its like may override.
BOUNDS = ("iterations", "duration_s", "warmup_iterations", "warmup_s", "cold_starts")


@dataclass(frozen=True)
class Settings:
    """How long to measure; every pair of bounds holds at once: at least the iterations *and* the seconds.

    Attributes:
        preset: the name of the preset these come from.
        iterations: timed calls.
        duration_s: timed seconds.
        warmup_iterations: calls before the timed ones.
        warmup_s: seconds before the timed ones.
        max_drift: a larger rise of the median from the first to the last quarter makes the measurement invalid;
            None only warns up to ``WORTHLESS_DRIFT``: over a few seconds a shared machine drifts by itself.
        cold_starts: fresh processes.
        settle_s: warm up for so many more seconds at most, until the running median stands still.
        offline_frames: frames of the offline scenario, at least.
        overridden: bounds that are not the preset's.
    """

    preset: str
    iterations: int
    duration_s: float
    warmup_iterations: int
    warmup_s: float
    max_drift: float | None
    cold_starts: int
    settle_s: float = 0.0
    offline_frames: int = 0
    overridden: tuple[str, ...] = ()


# mlperf: MLPerf Inference's edge category asks for 600 s, the early stopping of a 90th percentile (single stream) and
# 24576 frames (offline).
PRESETS: dict[str, Settings] = {
    "quick": Settings("quick", P90_ITERATIONS, 30.0, 10, 0.5, None, 3, settle_s=5.0),
    "standard": Settings("standard", P99_ITERATIONS, 60.0, 50, 2.0, WARNING_DRIFT, 5, settle_s=20.0),
    "mlperf": Settings(
        "mlperf", P99_ITERATIONS, 600.0, 50, 2.0, WARNING_DRIFT, 5, settle_s=60.0, offline_frames=24_576
    ),
}


def shortened(settings: Mapping[str, Any]) -> list[str]:
    """What a measurement was asked for below its preset, as sentences: that is a try, no measurement.

    Args:
        settings: the fields of ``Settings``, as ``bench.json`` has them.
    """
    preset = PRESETS.get(str(settings.get("preset")))
    if preset is None:
        return []
    said = []
    for name, unit in (("iterations", "calls"), ("duration_s", "s")):
        asked, least = settings.get(name), getattr(preset, name)
        if asked is not None and asked < least:
            said.append(f"{asked:g} {unit} were asked for, and preset {preset.preset} takes {least:g}: for a try only")
    return said


def choose_settings(preset: str, bounds: Mapping[str, Any]) -> Settings:
    """The settings of a preset, with the bounds that are not None instead of its own.

    A warm-up that is given is exact: it does not go on until the median stands still.

    Args:
        preset: a key of ``PRESETS``.
        bounds: key of ``BOUNDS`` -> value or None.

    Raises:
        SegkdError: for an unknown preset or bound.
    """
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    for name in bounds:
        if name not in BOUNDS:
            raise unknown_name("bound", name, BOUNDS)
    given = {name: value for name, value in bounds.items() if value is not None}
    settings = dataclasses.replace(PRESETS[preset], **given, overridden=tuple(sorted(given)))
    if {"warmup_iterations", "warmup_s"} & given.keys():
        settings = dataclasses.replace(settings, settle_s=0.0)
    return settings
