"""Faults inside the network: statistics of the batch in its normalisation, classes out of order, other resizing."""

from __future__ import annotations

import numpy as np

from segkd_deploy.parity.diagnosis.case import SCREENING_FRAMES, Case, Finding, explains
from segkd_deploy.parity.diagnosis.frames import scale_contrast
from segkd_deploy.parity.diagnosis.tail_faults import shift_of
from segkd_deploy.reference import GAIN, relative_l2

# The contrast at which a reference records how much the source's logits change.
# A source whose logits hardly change at half the contrast cannot be told from one that normalises it away.
MIN_RESPONSE = 0.05
# A graph that changes by less than this share of what its source changes does not see the contrast.
BLIND = 0.1
# Without a recorded source, a graph that changes less than this.
BLIND_ALONE = 0.01
COMPANION = 1e-3


def find_class_order(case: Case, before: float) -> Finding | None:
    """A renaming of the logits' channels that gives the source's logits."""
    if case.source_logits is None or case.logits.shape != case.source_logits.shape:
        return None
    source, logits = (part[:SCREENING_FRAMES].astype(np.float64) for part in (case.source_logits, case.logits))
    flat = [part.transpose(1, 0, 2, 3).reshape(part.shape[1], -1) for part in (source, logits)]
    distances = np.square(flat[0]).sum(1)[:, None] + np.square(flat[1]).sum(1) - 2 * flat[0] @ flat[1].T
    order = distances.argmin(axis=1)
    if len(set(order.tolist())) < len(order) or (order == np.arange(len(order))).all():
        return None
    after = case.restored(case.logits[:, order])
    if not explains(before, after, case.healthy):
        return None
    names, mapping = case.manifest.label_space.names, np.arange(256, dtype=np.uint8)
    mapping[: len(order)] = order
    step = shift_of(mapping, np.arange(len(order), dtype=np.uint8), len(order))
    moved = [index for index, value in enumerate(order) if index != value][:3]
    pairs = ", ".join(f"{names[index]} ({index}) in place {order[index]}" for index in moved)
    what = (
        "The classes of the logits are out of order"
        if step is None
        else f"The logits' classes are shifted by {step:+d}"
    )
    text = (
        f"{what}: {pairs}. Put back, they give the source's labels on {after:.4%} of the pixels instead of "
        f"{before:.4%}. Compare the label space of the graph with the network's."
    )
    return Finding("label_mapping" if step is None else "label_shift", text, before, after, {"order": order.tolist()})


def find_batch_statistics(case: Case, before: float) -> Finding | None:
    """Batch normalisation in training mode, seen by what it cannot see.

    It divides by the deviation of the frame at hand: half the contrast gives the same logits. And a frame's logits
    depend on the frames beside it.
    """
    mixing = _companions(case)
    few = case.frames[:SCREENING_FRAMES]
    mean = case.manifest.normalisation.mean
    changed = relative_l2(case.run(scale_contrast(few, case.spec, mean, GAIN)), case.logits[: len(few)])
    source = None if case.contrast_response is None else float(case.contrast_response[: len(few)].mean())
    blind = changed < BLIND_ALONE if source is None else source >= MIN_RESPONSE and changed < BLIND * source
    if not blind and (mixing is None or mixing < COMPANION):
        return None
    said = []
    if blind:
        network = "" if source is None else f"; the network's change by {source:.1%}"
        said.append(f"at half the contrast the graph's logits change by {changed:.2%}{network}")
    if mixing is not None and mixing >= COMPANION:
        said.append(f"a frame's logits change by {mixing:.1%} when the frame beside it is another one")
    text = (
        f"Batch normalisation runs in training mode, with the statistics of the frames at hand: {' and '.join(said)}. "
        "Call .eval() before the export."
    )
    facts = {"contrast_gain": GAIN, "graph_change": changed, "source_change": source, "companion_change": mixing}
    return Finding("train_mode_batch_norm", text, before, None, facts)


def _companions(case: Case) -> float | None:
    """How much a frame's logits change with the frame beside it; None for graphs of one frame per call."""
    count = case.spec.batch if case.spec.batch is not None else 2
    if count < 2 or len(case.frames) < 2:
        return None
    same, other = (np.stack([case.frames[0]] * (count - 1) + [case.frames[index]]) for index in (0, 1))
    try:
        first, second = (case.run(frames, count)[0] for frames in (same, other))
    except Exception:  # onnxruntime's own: a graph that takes any number, but not this one
        return None
    return relative_l2(second, first)


def find_resizing(case: Case, before: float) -> Finding | None:
    """Resize operators inside the network that do not interpolate as the others do; read from the graph, not tried."""
    odd = []
    usual = ("half_pixel", "pytorch_half_pixel") + (() if _never_aligns(case) else ("align_corners",))
    for node in case.twin_bytes.nodes():
        if node.op_type not in ("Resize", "Upsample"):
            continue
        mode = str(node.attributes.get("mode", "nearest"))
        place = str(node.attributes.get("coordinate_transformation_mode", "half_pixel"))
        if mode != "linear" or place not in usual:
            odd.append(f"{node.name or node.outputs[0]} ({mode}, {place})")
    if not odd:
        return None
    text = (
        f"Inside the network, {len(odd)} of its operators resize by other means than the network, whose interpolation "
        f"is bilinear: {', '.join(odd[:4])}. Undoing this was not possible from outside; compare with the network's "
        "own resizing."
    )
    return Finding("resize_mode", text, before, None, {"nodes": odd})


def _never_aligns(case: Case) -> bool:
    """Whether the manifest describes all parts of the network and says that none of them aligns corners."""
    model = case.manifest.source.model
    return isinstance(model, dict) and "head" in model and model.get("align_corners") is False
