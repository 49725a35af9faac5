"""Why a graph differs from its source: each known fault is supposed, undone, and believed if agreement returns."""

from __future__ import annotations

from collections.abc import Callable

from segkd_deploy.parity.diagnosis.body_faults import find_batch_statistics, find_class_order, find_resizing
from segkd_deploy.parity.diagnosis.case import Case, Finding
from segkd_deploy.parity.diagnosis.input_faults import find_input_fault
from segkd_deploy.parity.diagnosis.precision_faults import find_calibration, find_not_finite
from segkd_deploy.parity.diagnosis.resize_faults import find_resize_fault
from segkd_deploy.parity.diagnosis.tail_faults import find_tail_fault

FAULTS: dict[str, str] = {
    "not_finite": "logits that are nan or infinite",
    "wrong_normalisation": "another mean or std than the network's",
    "swapped_channels": "red and blue, or U and V, exchanged",
    "yuv_coding": "NV12 decoded by another standard",
    "resize_mode": "the frame, features or logits resized by other means",
    "align_corners": "logits upsampled with align_corners the other way round",
    "nearest_upsampling": "logits or labels upsampled by repetition",
    "asymmetric_coordinates": "logits upsampled from the corners of pixels instead of their centres",
    "label_shift": "all classes shifted by a number",
    "label_mapping": "classes renamed",
    "labels_not_of_logits": "labels that are not made of the graph's logits, in a way that is not known",
    "train_mode_batch_norm": "normalisation with the statistics of the batch",
    "calibration": "ranges of 8-bit activations that do not fit",
    "quantisation_loss": "no fault: eight bits are too few for this network",
    "rounding": "no fault: a limit stricter than what the precision's rounding leaves",
    "runtime": "the runtime gives other labels than onnxruntime",
    "unexplained": "another network, or a fault that is not known",
}

# In this order: what is undone exactly before what is only seen. The first that explains the difference is the fault.
BODY: tuple[Callable[[Case, float], Finding | None], ...] = (
    find_class_order,
    find_input_fault,
    find_resize_fault,
    find_batch_statistics,
    find_calibration,
    find_resizing,
)


def diagnose(case: Case) -> list[Finding]:
    """The faults of a graph that does not hold its limits.

    What lies behind the logits is judged by the graph's own logits, what lies before them by the source's: a fault on
    either side does not hide one on the other.

    Args:
        case: the graph and its source.

    Returns:
        At least one finding; ``unexplained`` where no known fault explains the difference.
    """
    bad = find_not_finite(case)
    if bad is not None:
        return [bad]
    tail = find_tail_fault(case)
    found = [] if tail is None else [tail]
    before = case.restored(case.logits)
    if before >= case.healthy and found:
        return found
    for find in BODY:
        fault = find(case, before)
        if fault is not None:
            return [fault, *found]
    if before < case.healthy or not found:
        found.insert(0, _unexplained(case, before))
    return found


def _unexplained(case: Case, before: float) -> Finding:
    distance = case.distance(case.logits)
    text = (
        f"No known fault explains the difference: the graph's logits give the source's labels on {before:.4%} of the "
        f"pixels (relative distance {distance:.3g}). Colours, normalisation, order of classes, statistics of the batch "
        "and ranges were tried. Is it the same network, with the same weights?"
    )
    return Finding("unexplained", text, before, None, {"distance": distance})
