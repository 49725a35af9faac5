"""Does an exported graph still say what its source said? Where not, is it noise or a wiring fault?

Numeric noise flips pixels on boundaries, where the margin between two classes is small; a wrong mean, a swapped
channel or another interpolation flips the interior of regions. Both are counted.
"""

from __future__ import annotations

import datetime
import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd import __version__
from segkd.data import Dataset
from segkd.errors import SegkdError
from segkd.metrics import Scores, boundary_band, scores
from segkd_deploy.artifact import Artifact, Reference
from segkd_deploy.device import describe_device
from segkd_deploy.evaluate import confusion, evaluate_graph, label_frames
from segkd_deploy.evidence import SCHEMA
from segkd_deploy.runners import Runner, open_runner

# A pixel with another label this near (rows and columns) counts as boundary, all others as interior.
BOUNDARY_WIDTH_PX = 2
# Below this logit margin the source itself could have said the other class on another machine.
MARGIN_EPS = 0.01


@dataclass(frozen=True)
class Limits:
    """What a graph must hold against its source.

    Attributes:
        agreement: smallest share of pixels with the source's label.
        miou_delta: largest difference of mIoU to the source, as a fraction.
        gain_counts: whether a gain is a difference too: in a precision that should change nothing, it is a fault.
    """

    agreement: float
    miou_delta: float
    gain_counts: bool = True


LIMITS: dict[str, Limits] = {
    "fp32": Limits(agreement=0.9999, miou_delta=0.0005),
    "fp16": Limits(agreement=0.999, miou_delta=0.002),
    "int8": Limits(agreement=0.99, miou_delta=0.01, gain_counts=False),
}


def limits_of(precision: str) -> Limits:
    """The limits for a variant's precision.

    Raises:
        SegkdError: for a precision without limits.
    """
    if precision not in LIMITS:
        raise SegkdError(f"no limits for precision {precision!r}; known: {', '.join(LIMITS)}")
    return LIMITS[precision]


def validate_artifact(
    artifact: Artifact,
    variants: Sequence[str] = (),
    *,
    dataset: Dataset | None = None,
    dataset_name: str | None = None,
    runtime: str = "onnxruntime",
    provider: str = "cpu",
    threads: int | None = None,
    progress: Callable[[int], None] = lambda images: None,
) -> dict[str, Any]:
    """Compare the graphs of an artifact with what their source said of the reference frames.

    Args:
        artifact: a verified artifact.
        variants: which; all if empty.
        dataset: also score the graphs on this whole data set.
        dataset_name: how the data set was named.
        runtime: a key of ``RUNNERS``.
        provider: the runtime's provider.
        threads: threads inside an operator.
        progress: called after every batch of the data set with the number of its images.

    Returns:
        The content of ``parity.json``; ``agreement`` is the lowest of the variants, ``passed`` holds if all passed.

    Raises:
        SegkdError: for an unknown variant, or an artifact without reference frames.
        BackendMissing: if the runtime or the provider is not there.
    """
    reference = artifact.reference()
    results: dict[str, dict[str, Any]] = {}
    for variant in artifact.variants(variants):
        spec = artifact.spec()
        with open_runner(artifact.graph(variant), runtime, provider=provider, threads=threads, spec=spec) as runner:
            result = compare_variant(artifact, variant, reference, runner)
            if dataset is not None:
                result["whole_set"] = _whole_set(runner, dataset, dataset_name, artifact.class_names, progress)
        results[variant] = result
    device = describe_device()
    return {
        "schema": SCHEMA,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "artifact": {"path": artifact.folder.name, "manifest_sha256": artifact.manifest_sha256},
        "host": {name: device[name] for name in ("model", "cpu", "platform")},
        "versions": {"segkd": __version__, "python": platform.python_version(), "numpy": np.__version__},
        "agreement": min(result["agreement"] for result in results.values()),
        "passed": all(gate["passed"] for result in results.values() for gate in result["gates"]),
        "variants": results,
    }


def compare_variant(artifact: Artifact, variant: str, reference: Reference, runner: Runner) -> dict[str, Any]:
    """One variant's part of ``parity.json``, without the whole set.

    Args:
        artifact: a verified artifact.
        variant: one of its variants.
        reference: its reference frames.
        runner: an open runner of the variant's graph.
    """
    record = artifact.manifest.variant(variant)
    labels = label_frames(runner, reference.frames)
    labels, reference = _content(labels, reference, runner.spec.content_px)
    flips = count_flips(labels, reference.student, reference.margins)
    source = _scores(reference.student, reference.truth, artifact)
    graph = _scores(labels, reference.truth, artifact)
    agreement = 1 - flips["total"] / labels.size
    twin = None if record.logits_file is None else artifact.folder / record.logits_file
    finite = None if twin is None else logits_finite(twin, reference.frames, runner.spec.batch or 1)
    result: dict[str, Any] = {
        "sha256": record.sha256,
        "precision": record.precision,
        "runtime": runner.describe(),
        "frames": len(labels),
        "pixels": int(labels.size),
        "agreement": agreement,
        "flips": flips,
        "boundary_width_px": BOUNDARY_WIDTH_PX,
        "margin_eps": MARGIN_EPS,
        "miou": {"source": source.miou, "graph": graph.miou, "delta": graph.miou - source.miou},
        "per_class_delta": {
            name: after - before
            for name, before, after in zip(artifact.class_names, source.iou, graph.iou, strict=True)
        },
        "teacher": None if reference.teacher is None else _teacher(labels, reference, reference.teacher, artifact),
        "logits_finite": finite,
        "whole_set": None,
    }
    result["gates"] = _gates(result, limits_of(record.precision))
    return result


def _content(
    labels: NDArray[np.uint8], reference: Reference, box: tuple[int, int, int, int] | None
) -> tuple[NDArray[np.uint8], Reference]:
    """Labels and reference without what a letterbox added."""
    if box is None:
        return labels, reference
    top, left, height_px, width_px = box
    part = (slice(None), slice(top, top + height_px), slice(left, left + width_px))
    cropped = replace(
        reference,
        truth=reference.truth[part],
        student=reference.student[part],
        margins=reference.margins[part],
        teacher=None if reference.teacher is None else reference.teacher[part],
    )
    return labels[part], cropped


def count_flips(labels: NDArray[np.uint8], source: NDArray[np.uint8], margins: NDArray[np.float16]) -> dict[str, int]:
    """Count the pixels whose label differs from the source's.

    Args:
        labels: uint8 (N, height, width).
        source: uint8, the same shape.
        margins: the source's logit margins, the same shape.

    Returns:
        ``total``, ``interior`` and ``boundary`` (by the boundaries of ``source``, ``BOUNDARY_WIDTH_PX``), and
        ``decided``: those where the source's margin is above ``MARGIN_EPS``.
    """
    flipped = labels != source
    band = np.stack([boundary_band(frame, BOUNDARY_WIDTH_PX) for frame in source])
    boundary, total = int((flipped & band).sum()), int(flipped.sum())
    decided = int((flipped & (margins > MARGIN_EPS)).sum())
    return {"total": total, "interior": total - boundary, "boundary": boundary, "decided": decided}


def logits_finite(twin: Path, frames: NDArray[np.uint8], batch: int) -> bool:
    """Whether the logits twin gives neither nan nor infinity on any frame; the argmax would hide them."""
    from segkd_deploy.runners.onnxruntime import open_session

    session = open_session(twin)
    name = session.get_inputs()[0].name
    for start in range(0, len(frames), batch):
        part = frames.take(range(start, start + batch), axis=0, mode="wrap")
        if not all(np.isfinite(output).all() for output in session.run(None, {name: part})):
            return False
    return True


def _scores(labels: NDArray[np.uint8], truth: NDArray[np.uint8], artifact: Artifact) -> Scores:
    return scores(confusion(labels, truth, len(artifact.class_names)).counts)


def _teacher(
    labels: NDArray[np.uint8], reference: Reference, teacher: NDArray[np.uint8], artifact: Artifact
) -> dict[str, float]:
    return {
        "miou": _scores(teacher, reference.truth, artifact).miou,
        "agreement_graph": float((labels == teacher).mean()),
        "agreement_source": float((reference.student == teacher).mean()),
        "miou_graph_against_teacher": _scores(labels, teacher, artifact).miou,
        "miou_source_against_teacher": _scores(reference.student, teacher, artifact).miou,
    }


def _whole_set(
    runner: Runner,
    dataset: Dataset,
    name: str | None,
    class_names: Sequence[str],
    progress: Callable[[int], None],
) -> dict[str, Any]:
    result = scores(evaluate_graph(runner, dataset, class_names, progress).counts)
    return {"data": name, "images": len(dataset), "fingerprint": dataset.fingerprint(), **result.to_dict(class_names)}


def _gates(result: dict[str, Any], limits: Limits) -> list[dict[str, Any]]:
    agreement, delta, finite = result["agreement"], result["miou"]["delta"], result["logits_finite"]
    difference = abs(delta) if limits.gain_counts else -delta
    rows = [
        _gate("agreement", limits.agreement, agreement, agreement >= limits.agreement),
        _gate("miou_delta", limits.miou_delta, delta, math.isfinite(delta) and difference <= limits.miou_delta),
    ]
    return rows if finite is None else [*rows, _gate("logits_finite", True, finite, finite)]


def _gate(name: str, limit: float | bool, measured: float | bool, passed: bool) -> dict[str, Any]:
    return {"name": name, "limit": limit, "measured": measured, "passed": passed}
