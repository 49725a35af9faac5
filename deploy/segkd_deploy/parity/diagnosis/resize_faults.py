"""A camera's frame that the graph brings to the network's size by other means than it should."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segkd_deploy.parity.diagnosis.case import SCREENING_FRAMES, Case, Finding, explains
from segkd_deploy.parity.diagnosis.frames import resample
from segkd_deploy.parity.diagnosis.resampling import MODES, resampling

Matrices = tuple[NDArray[np.float64], NDArray[np.float64]]
_FIT_SHARE = 0.5


def find_resize_fault(case: Case, before: float) -> Finding | None:
    """The way to resize that, undone on the frame, gives the source's logits back.

    The frame is resized as it should be, and of all frames that the supposed way turns into this picture the one that
    is nearest to the frame is fed to the graph.

    Returns:
        None for graphs that see the frame at its own size, for NV12, or if no way explains the difference.
    """
    geometry, spec = case.manifest.geometry, case.spec
    if geometry is None or spec.color == "NV12":
        return None
    frame, net = (spec.height_px, spec.width_px), (geometry.height_px, geometry.width_px)
    box = (geometry.content.height_px, geometry.content.width_px)
    right = _matrices(frame, box, "bilinear")
    few = case.frames[:SCREENING_FRAMES].astype(np.float32)
    ways = {name: (_matrices(frame, box, name), False) for name in MODES if name != "bilinear"}
    ways["bilinear with antialiasing"] = (_area(frame, box), False)
    if box != net:
        ways["bilinear to the whole picture, without letterbox"] = (_matrices(frame, net, "bilinear"), True)
    now = case.distance(case.logits[: len(few)])
    tried = {name: case.distance(case.run(_undone(case, few, right, *way))) for name, way in ways.items()}
    best = min(tried, key=lambda name: tried[name])
    if tried[best] > _FIT_SHARE * now:
        return None
    after = case.restored(case.run(_undone(case, case.frames.astype(np.float32), right, *ways[best])))
    if not explains(before, after, case.healthy):
        return None
    text = (
        f"The graph brings the frame to the network's size {best} instead of bilinear. With frames that undo this, its "
        f"logits give the source's labels on {after:.4%} of the pixels instead of {before:.4%}."
    )
    return Finding("resize_mode", text, before, after, {"distance_before": now, "distances": tried})


def _matrices(frame: tuple[int, int], size: tuple[int, int], mode: str) -> Matrices:
    down, across = (resampling(i, o, *MODES[mode]) for i, o in zip(frame, size, strict=True))
    return down, across


def _area(frame: tuple[int, int], size: tuple[int, int]) -> Matrices:
    """A triangle as wide as the step, as antialiased bilinear interpolation has it."""
    found = []
    for length, wanted in zip(frame, size, strict=True):
        scale = max(length / wanted, 1.0)
        centre = (np.arange(wanted) + 0.5) * length / wanted - 0.5
        weights = (1 - np.abs(np.arange(length)[None] - centre[:, None]) / scale).clip(0)
        found.append(weights / weights.sum(axis=1, keepdims=True))
    return found[0], found[1]


def _undone(
    case: Case, frames: NDArray[np.float32], right: Matrices, wrong: Matrices, whole: bool
) -> NDArray[np.float32]:
    """Frames that the wrong way turns into what the right way makes of these."""
    seen = resample(frames, case.spec, *right)
    if whole:
        seen = _letterboxed(case, seen)
    missing = seen - resample(frames, case.spec, *wrong)
    down, across = (np.asarray(np.linalg.pinv(matrix), np.float64) for matrix in wrong)
    return frames + resample(missing, case.spec, down, across)


def _letterboxed(case: Case, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    geometry = case.manifest.geometry
    if geometry is None:
        return picture
    mean = np.array(case.manifest.normalisation.mean, np.float32)
    fill = mean[::-1] if case.spec.color == "BGR" else mean
    whole = np.empty((len(picture), geometry.height_px, geometry.width_px, 3), np.float32)
    whole[:] = fill
    box = geometry.content
    rows, columns = slice(box.top_px, box.top_px + box.height_px), slice(box.left_px, box.left_px + box.width_px)
    whole[:, rows, columns] = picture
    return whole
