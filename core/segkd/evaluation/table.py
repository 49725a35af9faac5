"""The result of ``segkd eval`` for people: points, not shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def format_result(result: Mapping[str, Any]) -> str:
    """The table of classes, the means, and what else was measured.

    Args:
        result: what :func:`segkd.evaluation.score.score` gives.
    """
    if "predictions" in result:
        where = f"predictions of {result['images']} images of {result['data']} in {result['predictions']}"
        return f"{where}; no score: these images have no public labels"

    # One column per measure.
    columns: dict[str, Mapping[str, float | None]] = {"IoU": result["per_class"], "Acc": result["per_class_acc"]}
    for band in result.get("trimap", {}).get("curve", []):
        columns[f"tri{band['width_px']}"] = band["per_class"]
    if "boundary_iou" in result:
        columns["bIoU"] = result["boundary_iou"]["per_class"]
    if "boundary_f" in result:
        columns["bF"] = result["boundary_f"]["per_class"]

    # One line per class, then the means.
    width = max(len(name) for name in [*result["classes"], "class"])
    lines = [" ".join([f"{'class':<{width}}", *(f"{title:>6}" for title in columns)])]
    for name in result["classes"]:
        lines.append(" ".join([f"{name:<{width}}", *(points(column[name]) for column in columns.values())]))
    if "connectivity" in result:
        lines += ["", *_connectivity(result["connectivity"], width)]
    lines += [*_details(result), _means(result)]
    lines.append(f"{result['images']} images of {result['data']}")
    if result.get("notes"):
        lines.append(f"note: {'; '.join(result['notes'])}")
    return "\n".join(lines)


def points(value: float | None) -> str:
    """A share in points, six characters."""
    return "     -" if value is None else f"{100 * value:6.2f}"


def _means(result: Mapping[str, Any]) -> str:
    return f"mIoU {points(result['miou'])}  mAcc {points(result['macc'])}  aAcc {points(result['aacc'])}"


def _details(result: Mapping[str, Any]) -> list[str]:
    lines = []
    if "trimap" in result:
        curve = result["trimap"]["curve"]
        void = "" if result["trimap"]["void_borders"] else ", without borders of ignored pixels"
        pairs = "  ".join(f"{band['width_px']} px {points(band['miou']).strip()}" for band in curve)
        lines.append(f"trimap mIoU  {pairs}{void}")

    if "boundary_iou" in result:
        part = result["boundary_iou"]
        widths = "-".join(str(px) for px in sorted({part["widths_px"][0], part["widths_px"][-1]}))
        lines.append(f"boundary IoU {points(part['mean'])}  (ratio {part['ratio']:g}, {widths} px)")

    if "boundary_f" in result:
        part = result["boundary_f"]
        lines.append(f"boundary F   {points(part['mean'])}  (theta {part['theta_px']:g} px)")

    if "bootstrap" in result:
        part = result["bootstrap"]
        ends = "  ".join(
            f"{title} {points(part[key][0]).strip()} to {points(part[key][1]).strip()}"
            for title, key in (("mIoU", "miou"), ("mAcc", "macc"), ("aAcc", "aacc"))
        )
        lines.append(f"95 % intervals over images ({part['resamples']} draws, seed {part['seed']}): {ends}")

    return lines


_CONNECTIVITY = {
    "true_components": "true",
    "predicted_components": "found",
    "fragmented": "broken",
    "missed": "missed",
    "largest_share": "largest",
    "spurious_per_image": "spurious",
}


def _connectivity(part: Mapping[str, Any], width: int) -> list[str]:
    """Components of each class: counts, shares in points, and spurious ones per image."""
    lines = [" ".join([f"{'components':<{width}}", *(f"{title:>8}" for title in _CONNECTIVITY.values())])]
    for name, row in part["per_class"].items():
        cells = []
        for key in _CONNECTIVITY:
            value = row[key]
            if value is None or isinstance(value, int):
                cells.append(f"{'-' if value is None else value:>8}")
            else:
                cells.append(f"{value:8.2f}" if key == "spurious_per_image" else f"  {points(value)}")
        lines.append(" ".join([f"{name:<{width}}", *cells]))
    return lines
