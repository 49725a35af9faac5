"""What fewer bits did: values that are not finite, ranges that do not fit, or the rounding itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd_deploy.onnx_file.edit import GraphBytes, Quantised
from segkd_deploy.parity.diagnosis.case import SCREENING_FRAMES, Case, Finding, explains
from segkd_deploy.parity.sessions import open_bytes
from segkd_deploy.reference import relative_l2
from segkd_deploy.runners.onnxruntime import run_frames

# More values than this outside a tensor's range are no outliers: percentiles leave out 1 in 10000.
CLIPPED = 0.005
# A range of which so little is used has lost 2 of its 8 bits.
USED = 0.25
# Half precision changes the values before the first 8-bit tensor by less than this share of their norm.
FLOAT_PART = 0.02
# Frames whose inner values are looked at.
MOST_FRAMES = 8
# Inner tensors that are looked at in one go.
AT_ONCE = 8
# Ranges from a few frames are not the best ones, so that half of what was lost is enough.
_SHARE = 0.6


def find_not_finite(case: Case) -> Finding | None:
    """Logits that are nan or infinite; the argmax hides them."""
    bad = ~np.isfinite(case.logits)
    if not bad.any():
        return None
    frames = int(bad.any(axis=(1, 2, 3)).sum())
    text = (
        f"{bad.mean():.2%} of the logits are nan or infinite, in {frames} of {len(bad)} frames; the argmax hides them. "
        "Half precision ends at 65504: keep the layers that pass it in float32, or train the network again."
    )
    return Finding("not_finite", text, facts={"share": float(bad.mean()), "frames": frames})


def find_calibration(case: Case, before: float) -> Finding | None:
    """Ranges of 8-bit activations that do not fit what the frames bring; None for graphs without such.

    The values come from a graph of higher precision where there is one. Then the graph gets the ranges of these
    frames, and its agreement says whether the ranges were to blame. Eight bits are blamed only if what lies before the
    first of them gives what it gives in the graph of higher precision.
    """
    quantised = case.twin_bytes.quantised()
    if not quantised:
        return None
    seen = observe(case, quantised)
    rows = [_row(one, seen[one.tensor]) for one in quantised if one.tensor in seen]
    bad = [row for row in rows if row["clipped"] > CLIPPED or row["used"] < USED]
    after = case.restored(_recalibrated(case, quantised, seen))
    facts = {"tensors": len(rows), "misfits": bad[:10], "agreement_with_own_ranges": after}
    share = f"on {after:.4%} of the pixels instead of {before:.4%}"
    if not bad or not explains(before, after, case.healthy, _SHARE):
        if not _float_part_is_right(case, quantised[0]):
            return None
        text = (
            f"Eight bits are too few: {len(rows) - len(bad)} of {len(rows)} ranges fit what the frames bring, and with "
            f"ranges of these very frames labels agree {share}. Keep the worst layers in float (segkd export "
            "--max-drop, --min-agreement), or use fp16."
        )
        return Finding("quantisation_loss", text, before, after, facts)
    worst = max(bad, key=lambda row: max(row["clipped"], 1 - row["used"] if row["used"] < USED else 0))
    text = (
        f"The calibration does not fit: {len(bad)} of {len(rows)} ranges are too narrow or too wide; {worst['tensor']} "
        f"keeps {worst['low']:.3g} to {worst['high']:.3g}, the frames bring {worst['seen_low']:.3g} to "
        f"{worst['seen_high']:.3g} ({worst['clipped']:.1%} of the values are cut off). With ranges of these frames, "
        f"labels agree {share}. Calibrate on training images, as the camera gives them."
    )
    return Finding("calibration", text, before, after, facts)


@dataclass(frozen=True)
class Seen:
    """What the frames bring: smallest and largest value, and the share outside the range."""

    low: float
    high: float
    clipped: float


def observe(case: Case, quantised: list[Quantised]) -> dict[str, Seen]:
    """What each tensor really holds on the frames, by its name.

    Tensors that the graph of higher precision does not have are left out. Without such a graph the values are the
    graph's own, and ranges that begin at 0 are left out: they may stand for a ReLU or a clip, and are meant to cut.
    """
    graph = case.twin_bytes
    wanted = [one for one in quantised if one.low < 0]
    if case.wider is not None:
        graph = GraphBytes.read(case.wider)
        there = {name for node in graph.nodes() for name in node.outputs}
        wanted = [one for one in quantised if one.tensor in there]
    ranges = {one.tensor: (one.low, one.high) for one in wanted}
    names = list(ranges)
    found: dict[str, Seen] = {}
    frames = case.frames[: max(MOST_FRAMES, case.batch)]
    for start in range(0, len(names), AT_ONCE):
        part = names[start : start + AT_ONCE]
        for name, values in zip(part, _inner(graph, part, frames, case), strict=True):
            low, high = ranges[name]
            outside = [float(((chunk < low) | (chunk > high)).mean()) for chunk in values]
            ends = min(float(chunk.min()) for chunk in values), max(float(chunk.max()) for chunk in values)
            found[name] = Seen(*ends, float(np.mean(outside)))
    return found


def _inner(graph: GraphBytes, names: list[str], frames: NDArray[np.uint8], case: Case) -> list[list[NDArray[Any]]]:
    session = open_bytes(graph.with_outputs(names), threads=case.threads)
    given = session.get_inputs()[0].name
    found: list[list[NDArray[Any]]] = [[] for _ in names]
    for start in range(0, len(frames), case.batch):
        batch = frames[start : start + case.batch].take(range(case.batch), axis=0, mode="clip")
        for values, one in zip(found, session.run(names, {given: batch}), strict=True):
            values.append(one)
    return found


def _float_part_is_right(case: Case, first: Quantised) -> bool:
    """Whether a graph holds, before its first 8-bit tensor, what a graph of higher precision holds there.

    True where that cannot be seen: without such a graph, or if it has no tensor of this name.
    """
    if case.wider is None:
        return True
    wider = GraphBytes.read(case.wider)
    if first.tensor not in {name for node in wider.nodes() for name in node.outputs}:
        return True
    frames = case.frames[: max(SCREENING_FRAMES, case.batch)]
    ((own,), (right,)) = (_inner(graph, [first.tensor], frames, case) for graph in (case.twin_bytes, wider))
    return relative_l2(np.concatenate(own), np.concatenate(right)) < FLOAT_PART


def _row(one: Quantised, seen: Seen) -> dict[str, Any]:
    ends = [value / end for value, end in ((seen.low, one.low), (seen.high, one.high)) if end and value / end > 0]
    used = {"clipped": seen.clipped, "used": max(ends, default=0.0)}
    return {"tensor": one.tensor, "low": one.low, "high": one.high, "seen_low": seen.low, "seen_high": seen.high} | used


def _recalibrated(case: Case, quantised: list[Quantised], seen: dict[str, Seen]) -> NDArray[Any]:
    """The graph's logits with the ranges of the frames themselves."""
    values: dict[str, NDArray[Any]] = {}
    for one in quantised:
        if one.tensor not in seen:
            continue
        low, high = min(seen[one.tensor].low, 0.0), max(seen[one.tensor].high, 0.0)
        step, code = (high - low) / 255 or 1.0, 0
        if one.signed:
            step = max(-low, high) / 127 or 1.0
        else:
            code = int(np.clip(round(-low / step), 0, 255))
        values[one.scale] = np.array(step, np.float32)
        values[one.zero_point] = np.array(code, np.int8 if one.signed else np.uint8)
    session = open_bytes(case.twin_bytes.content, threads=case.threads, as_written=True, initializers=values)
    return run_frames(session, case.frames, case.batch)
