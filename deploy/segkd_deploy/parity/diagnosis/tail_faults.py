"""Faults behind the logits: the graph's labels held against labels made of its own logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segkd_deploy.parity.diagnosis.case import Case, Finding
from segkd_deploy.parity.diagnosis.resampling import MODES, resized_labels

# Labels of a graph and of its logits, resampled in other arithmetic, differ at ties alone.
SAME = 0.9995
# A class with fewer pixels does not say what it was mapped to.
MIN_PIXELS = 20
MAJORITY = 0.9

_NAMES = {
    "bilinear": "align_corners",
    "bilinear with align_corners": "align_corners",
    "bilinear at asymmetric coordinates": "asymmetric_coordinates",
    "nearest": "nearest_upsampling",
    "nearest at asymmetric coordinates": "nearest_upsampling",
    "nearest with align_corners": "nearest_upsampling",
    "nearest, rounded down": "nearest_upsampling",
    "nearest, rounded up": "nearest_upsampling",
}


def find_tail_fault(case: Case) -> Finding | None:
    """What turns the graph's own logits into other labels than they should become; None if they become the right ones.

    The logits are turned into labels by every way to upsample and by every renaming of classes, and the way that gives
    the graph's labels is the graph's.
    """
    own = case.own_labels(case.logits)
    before = case.agreement_with(case.labels, own)
    if before >= SAME:
        return None
    restored = case.restored(case.logits)
    ways = {
        mode: case.agreement_with(case.labels, resized_labels(case.logits, case.label_resize, mode)) for mode in MODES
    }
    best = max(ways, key=lambda mode: ways[mode])
    mapping = class_mapping(own, case.labels)
    mapped = 0.0 if mapping is None else case.agreement_with(case.labels, mapping[own])
    facts = {"own_logits": before, "ways": ways}
    if mapping is not None and mapped > ways[best] and 1 - mapped <= 0.25 * (1 - before):
        return _renamed(case, mapping, own, mapped, restored, facts)
    if best != case.mode and 1 - ways[best] <= 0.25 * (1 - before):
        text = (
            f"The logits are upsampled {_how(best)}, the network upsamples {_how(case.mode)}. The graph's labels are "
            f"those of its own logits upsampled {_how(best)} on {ways[best]:.4%} of the pixels, and {_how(case.mode)} "
            f"on {before:.4%}; upsampled {_how(case.mode)}, they agree with the source on {restored:.4%}. "
            "Export with the network's own upsample()."
        )
        return Finding(_NAMES.get(best, "resize_mode"), text, _now(case), restored, facts)
    text = (
        f"The graph's labels are not those of its own logits: they agree on {before:.4%} of the pixels, and no other "
        f"upsampling explains them (nearest: {best}, {ways[best]:.4%}). The logits themselves give the source's labels "
        f"on {restored:.4%}. Look at what lies between logits and labels, or at the runtime."
    )
    return Finding("labels_not_of_logits", text, _now(case), restored, facts)


def class_mapping(own: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The renaming of classes that turns some labels into others, uint8 (256,).

    None if no class changed, or classes do not change as a whole: each must become one other, and no two the same.
    """
    table = np.arange(256, dtype=np.uint8)
    for value in np.unique(own):
        became = labels[own == value]
        if len(became) < MIN_PIXELS:
            continue
        counts = np.bincount(became, minlength=256)
        target = int(counts.argmax())
        if counts[target] < MAJORITY * len(became):
            return None
        table[value] = target
    changed = np.flatnonzero(table != np.arange(256))
    seen = [int(table[value]) for value in np.unique(own)]
    return table if changed.size and len(set(seen)) == len(seen) else None


def shift_of(mapping: NDArray[np.uint8], present: NDArray[np.uint8], classes: int) -> int | None:
    """By how much all classes that occur are shifted; None if they are not shifted alike."""
    steps = {(int(mapping[value]) - int(value)) % 256 for value in np.unique(present)}
    if len(steps) > 1:
        steps = {step % classes if step < 128 else (step - 256) % classes for step in steps}
    (step, *others) = steps
    if others:
        return None
    return step if step < 128 else step - 256


def _renamed(
    case: Case,
    mapping: NDArray[np.uint8],
    own: NDArray[np.uint8],
    mapped: float,
    restored: float,
    facts: dict[str, object],
) -> Finding:
    names = case.manifest.label_space.names
    step = shift_of(mapping, own, len(names))
    moved = [int(value) for value in np.unique(own) if mapping[value] != value]
    pairs = ", ".join(f"{_class(names, value)} as {_class(names, int(mapping[value]))}" for value in moved[:3])
    facts = {**facts, "mapping": {str(value): int(mapping[value]) for value in moved}}
    if step is not None:
        text = (
            f"Labels are shifted by {step:+d}: {pairs}. Shifted back by {-step:+d}, they agree with the graph's own "
            f"logits on {mapped:.4%} of the pixels and with the source on {restored:.4%}. Look for a background class "
            "that was added or taken away."
        )
        return Finding("label_shift", text, _now(case), restored, facts)
    text = (
        f"Classes are renamed: {pairs}. With their names put back, labels agree with the graph's own logits on "
        f"{mapped:.4%} of the pixels and with the source on {restored:.4%}. Compare the order of the classes."
    )
    return Finding("label_mapping", text, _now(case), restored, facts)


def _class(names: list[str], value: int) -> str:
    return f"{names[value]} ({value})" if value < len(names) else f"class {value}"


def _now(case: Case) -> float:
    return case.agreement_with(case.labels, case.source)


def _how(mode: str) -> str:
    return mode if mode != "bilinear" else "bilinear without align_corners"
