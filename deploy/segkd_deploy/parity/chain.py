"""The chain teacher -> student -> fp32 -> fp16 -> int8 -> engine: each step against the one before and the source.

Numeric noise flips pixels on boundaries, where the margin between two classes is small; a wrong mean, a swapped
channel or another interpolation flips the interior of regions. Both are counted, and a graph that does not hold its
limits is diagnosed.
"""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segkd import __version__
from segkd.data import Dataset
from segkd.errors import SegkdError
from segkd_deploy.artifact import Artifact
from segkd_deploy.device import describe_device
from segkd_deploy.evaluate import label_frames
from segkd_deploy.evidence import SCHEMA, widened
from segkd_deploy.gates import GATES, check, check_limits, chosen, holds, limits_of
from segkd_deploy.parity.compare import agreement, compare_labels
from segkd_deploy.parity.diagnosis.case import Case, Finding
from segkd_deploy.parity.diagnosis.diagnose import diagnose
from segkd_deploy.parity.pictures import write_pictures
from segkd_deploy.parity.sessions import has_onnxruntime
from segkd_deploy.parity.steps import PRECISIONS, Step, compare_step, frames_of, take_step
from segkd_deploy.parity.whole_set import WholeSet, keep_whole_set
from segkd_deploy.reference import Reference
from segkd_deploy.runners import open_runner

# A graph that loses less than this share of what its engine loses, in onnxruntime, is not to blame.
_RUNTIME_SHARE = 0.5
SOURCE = "student"
_GPU = "validate there, with --runtime tensorrt or --provider cuda"
# Precisions whose rounding leaves the labels as they are; int8 has findings of its own.
_ROUNDED = ("fp32", "fp16")
_NO_ONNXRUNTIME = "onnxruntime is not installed here, so that logits are not looked at"


@dataclass(frozen=True)
class Plan:
    """What to validate, and how.

    Attributes:
        variants: which; all if empty.
        dataset: also score the graphs on this whole data set.
        dataset_name: how the data set was named.
        runtime: a key of ``RUNNERS``.
        provider: the runtime's provider.
        threads: threads inside an operator.
        gates: limits that were asked for, as ``parse_gates`` gives them.
        pictures: folder for pictures of the worst frames; None for none.
        diagnose: whether graphs that do not hold their limits are diagnosed.
        earlier: what an earlier run wrote; its scores of whole data sets stay where none are made now.
        progress: called after every batch of the data set with the number of its images.
    """

    variants: Sequence[str] = ()
    dataset: Dataset | None = None
    dataset_name: str | None = None
    runtime: str = "onnxruntime"
    provider: str = "cpu"
    threads: int | None = None
    gates: Mapping[str, float] = field(default_factory=dict)
    pictures: Path | None = None
    diagnose: bool = True
    earlier: Mapping[str, Any] | None = None
    progress: Callable[[int], None] = lambda images: None

    @property
    def is_plain(self) -> bool:
        """Whether the runtime is onnxruntime on the CPU, the chain's last step before engines."""
        return self.runtime == "onnxruntime" and self.provider == "cpu"


def validate_artifact(artifact: Artifact, plan: Plan | None = None) -> dict[str, Any]:
    """Compare the graphs of an artifact with what their source said of the reference frames.

    Args:
        artifact: a verified artifact.
        plan: what, and how; all variants in onnxruntime on the CPU if None.

    Returns:
        The content of ``parity.json``; ``agreement`` is the lowest of the variants, ``passed`` holds if all passed.

    Raises:
        SegkdError: for an unknown variant or gate, or an artifact without reference frames.
        BackendMissing: if the runtime or the provider is not there.
    """
    plan = plan or Plan()
    reference = artifact.reference()
    known = {name: record.precision for name, record in artifact.manifest.variants.items()}
    names = sorted(artifact.variants(plan.variants), key=lambda name: PRECISIONS.index(_known(known[name])))
    asked = _asked(artifact, plan, known)
    results: dict[str, dict[str, Any]] = {}
    steps: list[Step] = []
    for name in names:
        results[name] = _validate_variant(artifact, name, reference, plan, steps, asked[name])
    device = describe_device()
    return {
        "schema": SCHEMA,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "artifact": {"path": artifact.folder.name, "manifest_sha256": artifact.manifest_sha256},
        "host": {name: device[name] for name in ("model", "cpu", "platform")},
        "versions": {"segkd": __version__, "python": platform.python_version(), "numpy": np.__version__},
        "agreement": min(result["agreement"] for result in results.values()),
        "passed": all(gate["passed"] for result in results.values() for gate in result["gates"]),
        "chain": [*_networks(artifact, reference), *(_row(name, part) for name, part in results.items())],
        "notes": _notes(results),
        "variants": results,
    }


def _notes(results: Mapping[str, dict[str, Any]]) -> list[str]:
    """What to know of all variants."""
    notes = [] if has_onnxruntime() else [f"{_NO_ONNXRUNTIME}; engines are compared with the source alone"]
    halves = [name for name, part in results.items() if part["computed_in"] != part["precision"]]
    if halves:
        names = ", ".join(halves)
        notes.append(f"{names}: computed in float32, as CPUs do: no proof for a GPU, where halves end at 65504; {_GPU}")
    return notes


def _asked(artifact: Artifact, plan: Plan, known: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Variant -> gate -> limit: what was asked for, else what the artifact brings."""
    own, wanted = (check_limits(limits, known) for limits in (artifact.manifest.gates, plan.gates))
    for name in (key.rpartition(".")[2] for key in wanted):
        if GATES[name].timed:
            raise SegkdError(f"gate {name}: `segkd bench` measures it; give it to `segkd release` or `segkd deploy`")
    return {
        name: chosen(name, precision, own) | chosen(name, precision, wanted)
        for name, precision in known.items()
        if name in artifact.variants(plan.variants)
    }


def _known(precision: str) -> str:
    """A precision that has limits; another is an error before anything runs."""
    limits_of(precision)
    return precision


def _validate_variant(
    artifact: Artifact,
    variant: str,
    reference: Reference,
    plan: Plan,
    steps: list[Step],
    asked: Mapping[str, float],
) -> dict[str, Any]:
    graph, spec = artifact.graph(variant), artifact.spec()
    options = {"provider": plan.provider, "threads": plan.threads, "spec": spec, **_graph_alone(plan.runtime)}
    with open_runner(graph, plan.runtime, **options) as runner:
        step = take_step(artifact, variant, reference, runner, plan.threads)
        if plan.dataset is not None:
            step.whole = WholeSet.score(runner, plan.dataset, plan.dataset_name, artifact.class_names, plan.progress)
        described = runner.describe()
    before = _before(artifact, reference, plan, steps, step)
    result = compare_step(artifact, reference, step, before)
    result["runtime"] = described
    result["computed_in"] = "fp32" if step.precision == "fp16" and widened(described) else step.precision
    if step.whole is not None:
        other = None if before is None else before.whole
        result["whole_set"] = step.whole.to_dict(artifact.class_names, other, artifact.manifest.evaluation)
    else:
        sha256, manifest = result["sha256"], artifact.manifest_sha256
        result["whole_set"] = keep_whole_set(plan.earlier, manifest, variant, sha256, described)
    limits = limits_of(step.precision) | dict(asked)
    result["gates"] = check(result, None, limits, step.precision, asked)
    step.passed = all(gate["passed"] for gate in result["gates"])
    steps.append(step)
    lost = any(not gate["passed"] and gate["measured"] is not None for gate in result["gates"])
    if lost and plan.diagnose:
        findings = _diagnose(artifact, reference, step, before, steps, plan)
        if [finding.fault for finding in findings] == ["unexplained"] and _is_rounding(step, result):
            findings = [_rounding(step, result)]
        result["diagnosis"] = [finding.to_dict() for finding in findings]
    if plan.pictures is not None:
        result["pictures"] = write_pictures(plan.pictures, variant, artifact, reference, step.labels)
    return result


def _graph_alone(runtime: str) -> dict[str, Any]:
    """Options that make a runtime run the very graph: onnxruntime's runner may put code of its own for the tail."""
    return {"decoder": "graph"} if runtime == "onnxruntime" else {}


def _before(artifact: Artifact, reference: Reference, plan: Plan, steps: Sequence[Step], step: Step) -> Step | None:
    """The step before: of an engine its graph in onnxruntime, of a graph the nearest wider one; None for the source.

    Where onnxruntime is not installed, an engine is held against the nearest wider engine.
    """
    if not plan.is_plain and has_onnxruntime():
        options = {"threads": plan.threads, "spec": artifact.spec(), **_graph_alone("onnxruntime")}
        with open_runner(artifact.graph(step.name), **options) as runner:
            labels = label_frames(runner, reference.frames)
        return Step(f"{step.name} in onnxruntime", step.precision, labels, step.logits, step.twin)
    wider = [one for one in steps if one.rank < step.rank]
    return max(wider, key=lambda one: one.rank) if wider else None


def _diagnose(
    artifact: Artifact, reference: Reference, step: Step, before: Step | None, steps: Sequence[Step], plan: Plan
) -> list[Finding]:
    if not has_onnxruntime():
        return [Finding("unexplained", f"{_NO_ONNXRUNTIME}; validate on a machine with it to see why.")]
    if not plan.is_plain and before is not None:
        lost, now = (1 - agreement(one.labels, reference.student) for one in (before, step))
        if lost < _RUNTIME_SHARE * now:
            return [_runtime(step, before, now, lost, plan)]
    if step.twin is None:
        text = "The artifact has no graph that gives logits, so nothing can be tried; export it again."
        return [Finding("unexplained", text, agreement(step.labels, reference.student))]
    case = Case(
        manifest=artifact.manifest,
        spec=artifact.spec(),
        variant=step.name,
        twin=step.twin,
        frames=reference.frames,
        labels=step.labels,
        source=reference.student,
        source_logits=reference.logits,
        contrast_response=reference.contrast_response,
        wider=_wider(artifact, step, steps),
        healthy=limits_of(step.precision)["agreement"],
        threads=plan.threads,
    )
    return diagnose(case)


def _wider(artifact: Artifact, step: Step, steps: Sequence[Step]) -> Path | None:
    """The twin of the widest graph that is wider than a step's and has not failed."""
    failed = {one.name for one in steps if not one.passed}
    found = [
        (PRECISIONS.index(record.precision), artifact.folder / record.logits_file)
        for name, record in artifact.manifest.variants.items()
        if record.logits_file is not None and name not in failed and PRECISIONS.index(record.precision) < step.rank
    ]
    return min(found)[1] if found else None


def _is_rounding(step: Step, result: Mapping[str, Any]) -> bool:
    """Whether a graph that nothing explains holds the limits of a clean one of its precision."""
    limits, rows = limits_of(step.precision), {row["name"]: row for row in result["gates"]}
    if step.precision not in _ROUNDED or not rows.get("logits_finite", {"passed": True})["passed"]:
        return False
    held = [(name, limit) for name, limit in limits.items() if name in rows]
    return all(holds(name, limit, rows[name]["measured"], step.precision) for name, limit in held)


def _rounding(step: Step, result: Mapping[str, Any]) -> Finding:
    missed = ", ".join(f"{row['name']} {row['limit']:g}" for row in result["gates"] if not row["passed"])
    text = (
        f"No fault was found, and the graph holds the usual limits of {step.precision}: what differs is what rounding "
        f"in {step.precision} does. The limit that was asked for ({missed}) is stricter; loosen it or use a wider "
        "precision."
    )
    return Finding("rounding", text, result["agreement"])


def _runtime(step: Step, before: Step, now: float, lost: float, plan: Plan) -> Finding:
    text = (
        f"{plan.runtime} ({plan.provider}) gives other labels than onnxruntime on the CPU with the same graph: they "
        f"agree on {agreement(step.labels, before.labels):.4%} of the pixels, and with the source on {1 - now:.4%} "
        f"against {1 - lost:.4%}. Build the engine again, without TF32; then look for the layer with polygraphy."
    )
    return Finding("runtime", text, 1 - now, 1 - lost)


def _networks(artifact: Artifact, reference: Reference) -> list[dict[str, Any]]:
    """The chain's first rows: teacher and student, from what was recorded of them."""
    frames = frames_of(artifact, reference)
    student = frames.cut(reference.student)
    row: dict[str, Any] = {"step": SOURCE, "before": None, "agreement_before": None, "agreement_source": 1.0}
    if reference.teacher is None:
        return [row | {"miou": compare_labels(student, student, frames)["miou"]["after"]}]
    found = compare_labels(student, frames.cut(reference.teacher), frames)
    miou, share = found["miou"], found["agreement"]
    teacher = {"step": "teacher", "before": None, "agreement_before": None, "agreement_source": share}
    row |= {"before": "teacher", "agreement_before": share, "miou": miou["after"]}
    row |= {"miou_delta_before": miou["delta"], "interval_before": miou["interval"]}
    return [teacher | {"miou": miou["before"]}, row]


def _row(name: str, part: Mapping[str, Any]) -> dict[str, Any]:
    """A variant's row of the chain; its step before is the source where there is no other."""
    before = part["before"] or {"step": SOURCE, "agreement": part["agreement"], "miou": part["miou"]}
    return {
        "step": name,
        "before": before["step"],
        "miou": part["miou"]["graph"],
        "miou_delta_before": before["miou"]["delta"],
        "interval_before": before["miou"]["interval"],
        "agreement_before": before["agreement"],
        "agreement_source": part["agreement"],
    }
