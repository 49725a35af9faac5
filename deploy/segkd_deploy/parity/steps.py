"""One step of the chain: what a graph says of the reference frames, held against its source and the step before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.manifest import PRECISIONS as PRECISIONS
from segkd_deploy.artifact import Artifact
from segkd_deploy.evaluate import label_frames
from segkd_deploy.gates import check, limits_of
from segkd_deploy.parity.compare import (
    BOUNDARY_WIDTH_PX,
    MARGIN_EPS,
    Frames,
    compare_labels,
    compare_logits,
)
from segkd_deploy.parity.sessions import has_onnxruntime, open_bytes
from segkd_deploy.parity.whole_set import WholeSet
from segkd_deploy.reference import Reference, as_recorded
from segkd_deploy.runners import Runner
from segkd_deploy.runners.onnxruntime import run_frames


@dataclass
class Step:
    """What one graph said.

    Attributes:
        name: for people.
        precision: of the graph.
        labels: uint8 (N, height, width).
        logits: float16 (N, K, h, w) of its twin; None without one, or where they are not finite.
        twin: the twin's file.
        passed: whether it holds its limits.
        whole: its part of a whole data set.
    """

    name: str
    precision: str
    labels: NDArray[np.uint8]
    logits: NDArray[np.float16] | None
    twin: Path | None
    passed: bool = False
    whole: WholeSet | None = None

    @property
    def rank(self) -> int:
        """0 for the widest precision."""
        return PRECISIONS.index(self.precision)


def take_step(
    artifact: Artifact, variant: str, reference: Reference, runner: Runner, threads: int | None = None
) -> Step:
    """Label the reference frames with an open runner, and take the logits from the twin in onnxruntime on the CPU.

    Without a twin, or without onnxruntime, there are no logits.
    """
    record = artifact.manifest.variant(variant)
    known = record.logits_file is not None and has_onnxruntime()
    twin = artifact.folder / str(record.logits_file) if known else None
    logits = None
    if twin is not None:
        session = open_bytes(twin.read_bytes(), threads=threads)
        values = run_frames(session, reference.frames, artifact.manifest.input.batch or 1)
        logits = as_recorded(values) if np.isfinite(values).all() else None
    return Step(variant, record.precision, label_frames(runner, reference.frames), logits, twin)


def compare_variant(artifact: Artifact, variant: str, reference: Reference, runner: Runner) -> dict[str, Any]:
    """One variant's part of ``parity.json``, against the source alone and by the limits of its precision.

    Args:
        artifact: a verified artifact.
        variant: one of its variants.
        reference: its reference frames.
        runner: an open runner of the variant's graph.
    """
    step = take_step(artifact, variant, reference, runner)
    result = compare_step(artifact, reference, step, None)
    return result | {"gates": check(result, None, limits_of(step.precision), step.precision)}


def compare_step(artifact: Artifact, reference: Reference, step: Step, before: Step | None) -> dict[str, Any]:
    """A step's part of ``parity.json``, without the whole set, the runtime, the gates and the diagnosis.

    Args:
        artifact: a verified artifact.
        reference: its reference frames.
        step: what a variant said.
        before: the step before; None if that is the source.
    """
    record = artifact.manifest.variants[step.name]
    frames = frames_of(artifact, reference)
    labels = frames.cut(step.labels)
    found = compare_labels(labels, frames.cut(reference.student), frames)
    logits = _logits(step.logits, reference.logits, step.twin)
    return {
        "sha256": record.sha256,
        "precision": record.precision,
        "frames": len(labels),
        "pixels": int(labels.size),
        "agreement": found["agreement"],
        "flips": found["flips"],
        "boundary_width_px": BOUNDARY_WIDTH_PX,
        "margin_eps": MARGIN_EPS,
        "miou": {**_renamed(found["miou"]), "interval": found["miou"]["interval"]},
        "per_class_delta": {name: part["delta"] for name, part in found["per_class_delta"].items()},
        "per_class_interval": {name: part["interval"] for name, part in found["per_class_delta"].items()},
        "boundary_iou": {"ratio": found["boundary_iou"]["ratio"], **_renamed(found["boundary_iou"])},
        "self_miou": found["self_miou"],
        "logits": logits,
        "logits_finite": None if logits is None else logits["finite"],
        "teacher": _teacher(labels, reference, frames),
        "before": None if before is None else _against(step, before, frames),
        "whole_set": None,
        "diagnosis": [],
        "pictures": [],
    }


def frames_of(artifact: Artifact, reference: Reference) -> Frames:
    """What the labels of an artifact are held against."""
    return Frames(reference.truth, reference.margins, artifact.class_names, artifact.spec().content_px)


def _logits(own: NDArray[Any] | None, source: NDArray[Any] | None, twin: Path | None) -> dict[str, Any] | None:
    """What logits say of each other; None without a twin."""
    if twin is None:
        return None
    if own is None or source is None or source.shape != own.shape:
        return {"finite": own is not None, "relative_l2": None, "cosine": None, "cosine_min": None}
    return compare_logits(own, source)


def _against(step: Step, before: Step, frames: Frames) -> dict[str, Any]:
    found = compare_labels(frames.cut(step.labels), frames.cut(before.labels), frames)
    logits = None if before.logits is None else _logits(step.logits, before.logits, step.twin)
    return {"step": before.name, **found, "logits": logits}


def _renamed(part: Mapping[str, Any]) -> dict[str, Any]:
    return {"source": part["before"], "graph": part["after"], "delta": part["delta"]}


def _teacher(labels: NDArray[np.uint8], reference: Reference, frames: Frames) -> dict[str, Any] | None:
    if reference.teacher is None:
        return None
    teacher, student = frames.cut(reference.teacher), frames.cut(reference.student)
    graph, source = (compare_labels(maps, teacher, frames) for maps in (labels, student))
    return {
        "miou": graph["miou"]["before"],
        "agreement_graph": graph["agreement"],
        "agreement_source": source["agreement"],
        "miou_graph_against_teacher": graph["self_miou"]["value"],
        "miou_source_against_teacher": source["self_miou"]["value"],
    }
