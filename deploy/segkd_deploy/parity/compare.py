"""Two label maps, or two sets of logits, of the same frames: how far are they from each other, where, how surely?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.data.remarks import MIN_INTERVAL_IMAGES
from segkd.metrics import Areas, BoundaryIoU, areas, bootstrap_deltas, bootstrap_intervals, boundary_band, scores
from segkd_deploy.evaluate import confusion
from segkd_deploy.reference import as_recorded, relative_l2

# A pixel with another label this near (rows and columns) counts as boundary, all others as interior.
BOUNDARY_WIDTH_PX = 2
# Below this logit margin the source itself could have said the other class on another machine.
MARGIN_EPS = 0.01
# Margins above which flips are counted.
MARGINS = (MARGIN_EPS, 0.1, 1.0)
# Boundary IoU's width as a share of the diagonal.
BOUNDARY_RATIO = 0.02
RESAMPLES = 1000


@dataclass(frozen=True)
class Frames:
    """What every comparison is held against.

    Attributes:
        truth: uint8 (N, height, width), 255 = ignore.
        margins: float16 (N, height, width), the source's largest minus its second largest logit.
        class_names: one per class.
        box: top, left, height and width of the part of labels that counts; None for all.
    """

    truth: NDArray[np.uint8]
    margins: NDArray[np.float16]
    class_names: Sequence[str]
    box: tuple[int, int, int, int] | None = None

    def cut(self, maps: NDArray[Any]) -> NDArray[Any]:
        """Maps (N, height, width) without what a letterbox added."""
        if self.box is None:
            return maps
        top, left, height_px, width_px = self.box
        return maps[:, top : top + height_px, left : left + width_px]


def agreement(labels: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
    """Share of equal labels."""
    return float(1 - np.count_nonzero(labels != others) / labels.size)


def count_flips(labels: NDArray[np.uint8], source: NDArray[np.uint8], margins: NDArray[np.float16]) -> dict[str, Any]:
    """Count the pixels whose label differs from the source's.

    Args:
        labels: uint8 (N, height, width).
        source: uint8, the same shape.
        margins: the source's logit margins, the same shape.

    Returns:
        ``total``, ``interior`` and ``boundary`` (by the boundaries of ``source``, ``BOUNDARY_WIDTH_PX``), ``decided``:
        those where the margin is above ``MARGIN_EPS``, and ``by_margin``: the same for each of ``MARGINS``.
    """
    flipped = labels != source
    band = np.stack([boundary_band(frame, BOUNDARY_WIDTH_PX) for frame in source])
    boundary, total = int((flipped & band).sum()), int(flipped.sum())
    found = margins[flipped]
    by_margin = {f"{margin:g}": int((found > margin).sum()) for margin in MARGINS}
    return {
        "total": total,
        "interior": total - boundary,
        "boundary": boundary,
        "decided": by_margin[f"{MARGIN_EPS:g}"],
        "by_margin": by_margin,
    }


def compare_labels(labels: NDArray[np.uint8], before: NDArray[np.uint8], frames: Frames) -> dict[str, Any]:
    """Everything that two label maps say of each other and of the truth.

    Args:
        labels: uint8 (N, height, width), without what a letterbox added.
        before: what they are held against, the same shape.
        frames: truth and margins.

    Returns:
        ``agreement``, ``flips``, ``miou`` (``before after delta interval``), ``per_class_delta`` (class ->
        ``delta interval``), ``boundary_iou`` (``ratio before after delta``) and ``self_miou`` (``value interval``):
        mIoU with ``before`` as truth. Intervals are of 95 %, from drawing frames with replacement;
        that of ``miou``, which excuses no gate, has nan as ends for too few frames.
    """
    truth, margins = frames.cut(frames.truth), frames.cut(frames.margins)
    classes = len(frames.class_names)
    after_areas, before_areas = (areas_per_frame(maps, truth, classes) for maps in (labels, before))
    deltas = bootstrap_deltas(before_areas, after_areas, resamples=RESAMPLES)
    old, new = scores(_sum(before_areas)), scores(_sum(after_areas))
    per_class = {
        name: {"delta": new.iou[index] - old.iou[index], "interval": list(deltas.iou[index])}
        for index, name in enumerate(frames.class_names)
    }
    own = areas_per_frame(labels, before, classes)
    edges = [boundary_miou(maps, truth, classes) for maps in (before, labels)]
    return {
        "agreement": agreement(labels, before),
        "flips": count_flips(labels, before, margins),
        "miou": {
            "before": old.miou,
            "after": new.miou,
            "delta": new.miou - old.miou,
            "interval": interval(deltas.miou, len(labels)),
        },
        "per_class_delta": per_class,
        "boundary_iou": {
            "ratio": BOUNDARY_RATIO,
            "before": edges[0],
            "after": edges[1],
            "delta": edges[1] - edges[0],
        },
        "self_miou": {
            "value": scores(_sum(own)).miou,
            "interval": list(bootstrap_intervals(own, resamples=RESAMPLES).miou),
        },
    }


def interval(ends: tuple[float, float], images: int) -> list[float]:
    """Both ends for people to trust: nan for fewer images than ``MIN_INTERVAL_IMAGES``."""
    return list(ends) if images >= MIN_INTERVAL_IMAGES else [math.nan, math.nan]


def areas_per_frame(labels: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int) -> Areas:
    """Areas (N, K) of each frame; labels of ``truth`` that are no class are ignored."""
    known = np.where(truth < classes, truth, np.uint8(255))
    rows = [areas(confusion(part, own, classes).counts) for part, own in zip(labels, known, strict=True)]
    return Areas(*(np.stack(part) for part in zip(*rows, strict=True)))


def boundary_miou(labels: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int) -> float:
    """Mean Boundary IoU at ``BOUNDARY_RATIO``."""
    measure = BoundaryIoU(classes, BOUNDARY_RATIO)
    for part, own in zip(labels, truth, strict=True):
        measure.update(part, own)
    return scores(measure.areas).miou


def compare_logits(logits: NDArray[Any], source: NDArray[Any]) -> dict[str, Any]:
    """How far logits are from the source's.

    Both are rounded to half precision first, in which the source's are recorded: equal logits stay equal.

    Args:
        logits: (N, K, h, w).
        source: float16, the same shape.

    Returns:
        ``finite``; ``relative_l2`` and ``cosine`` of all frames, ``cosine_min`` of the worst frame. None for the
        numbers where logits are not finite.
    """
    whole = bool(np.isfinite(logits).all())
    if not whole:
        return {"finite": False, "relative_l2": None, "cosine": None, "cosine_min": None}
    own, other = (as_recorded(part).astype(np.float64) for part in (logits, source))
    return {
        "finite": True,
        "relative_l2": relative_l2(own, other),
        "cosine": _cosine(own, other),
        "cosine_min": min(_cosine(a, b) for a, b in zip(own, other, strict=True)),
    }


def _sum(parts: Areas) -> Areas:
    return Areas(*(part.sum(axis=0) for part in parts))


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    scale = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return float(np.vdot(a, b)) / scale if scale else float(np.array_equal(a, b))
