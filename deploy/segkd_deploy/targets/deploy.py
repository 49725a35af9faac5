"""Copy, build, validate, bench and bring back, on several devices side by side; one report."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.files import write_atomic, write_json
from segkd.folders import ArtifactFiles
from segkd_deploy.artifact import Artifact
from segkd_deploy.evidence import Evidence, bench_path, load_evidence
from segkd_deploy.gates import check_evidence, failed_gates
from segkd_deploy.runners import default_provider
from segkd_deploy.targets.in_threads import in_threads
from segkd_deploy.targets.job import ARTIFACT, OUT, Outcome, Step, Timeouts, run_on_target
from segkd_deploy.targets.predictions import read_labels
from segkd_deploy.targets.spec import TargetSpec, without_name
from segkd_deploy.tensorrt.build import variants_for

SCHEMA = 1
REPORT_FILE = "report.json"
# What of the device's facts a report shows.
_DEVICE_FACTS = ("hostname", "machine", "python", "libc")

Tell = Callable[[str, str], None]


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        artifact: what is deployed.
        specs: the devices.
        out: folder for the report and one folder per device.
        variants: of the artifact; empty for all that the runtime takes.
        runtime: for every device; None for the device's own, else onnxruntime.
        provider: likewise; None for the runtime's own.
        threads: threads inside an operator; None for the runtime's own number.
        bench: more words for ``segkd bench``.
        gates: limits that make those of ``segkd validate`` and of the recipe stricter, or are more of them.
        timeouts: how long things may take.
    """

    artifact: Artifact
    specs: Sequence[TargetSpec]
    out: Path
    variants: tuple[str, ...] = ()
    runtime: str | None = None
    provider: str | None = None
    threads: int | None = None
    bench: tuple[str, ...] = ()
    gates: Mapping[str, float] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)

    def runtime_of(self, spec: TargetSpec) -> tuple[str, str]:
        """Runtime and provider on a device."""
        runtime = self.runtime or spec.runtime or "onnxruntime"
        return runtime, self.provider or spec.provider or default_provider(runtime)

    def variants_of(self, spec: TargetSpec) -> list[str]:
        """The variants that run on a device."""
        asked = self.variants or variants_for(self.artifact, self.runtime_of(spec)[0])
        return self.artifact.variants(asked)


def deploy_all(request: Request, tell: Tell = lambda name, line: None) -> dict[str, Any]:
    """Deploy on every device at once; a device that fails stops no other.

    Args:
        request: what was asked for.
        tell: is told the device and a line; from several threads.

    Returns:
        The report, which also lies in ``OUT/report.json``: ``exit_code`` is the worst of all devices.

    Raises:
        SegkdError: for an unknown variant or runtime, before any device is touched.
    """
    for spec in request.specs:
        request.variants_of(spec)
    cancel = threading.Event()
    results = in_threads([functools.partial(_deploy, request, spec, tell, cancel) for spec in request.specs], cancel)
    report = {
        "schema": SCHEMA,
        "artifact": {"path": request.artifact.folder, "manifest_sha256": request.artifact.manifest_sha256},
        "exit_code": max(result["exit_code"] for result in results),
        "labels_equal": _labels_equal(results),
        "targets": results,
    }
    try:
        write_json(request.out / REPORT_FILE, report)
    except OSError as error:  # what was measured is still shown
        report["exit_code"] = max(report["exit_code"], SegkdError.exit_code)
        tell(REPORT_FILE, f"cannot be written ({error.strerror}); name another --out")
    return report


def folder_name(target: str) -> str:
    """The folder of a device below the report's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", target).strip("-.") or "target"


def _deploy(request: Request, spec: TargetSpec, tell: Tell, cancel: threading.Event) -> dict[str, Any]:
    start_s = time.monotonic()
    runtime, provider = request.runtime_of(spec)
    folder = request.out / folder_name(spec.name)
    result: dict[str, Any] = {"name": spec.name, "address": spec.address, "runtime": runtime, "provider": provider}
    result |= {"folder": folder.name, "exit_code": 0, "error": None, "device": None, "variants": {}, "gates": []}

    try:
        outcome = run_on_target(
            spec,
            request.artifact,
            deploy_steps(request, spec),
            folder,
            runtime=runtime,
            timeouts=request.timeouts,
            say=lambda line: tell(spec.name, line),
            cancel=cancel,
        )
        write_atomic(folder / "log.txt", outcome.log)
        result |= _measured(request, spec, folder, outcome)
    except (SegkdError, OSError) as error:
        code = error.exit_code if isinstance(error, SegkdError) else SegkdError.exit_code
        result |= {"exit_code": code, "error": " ".join(str(error).split())}
        tell(spec.name, f"FAILED: {without_name(spec.name, spec.address, result['error'])}")

    result["seconds"] = round(time.monotonic() - start_s, 3)
    return result


def deploy_steps(request: Request, spec: TargetSpec) -> list[Step]:
    """Build (TensorRT only), validate, bench and labels of every variant."""
    runtime, provider = request.runtime_of(spec)
    variants = request.variants_of(spec)
    named = [word for variant in variants for word in ("--variant", variant)]
    where = ["--runtime", runtime, "--provider", provider]
    where += [] if request.threads is None else ["--threads", str(request.threads)]
    steps = [] if runtime == "onnxruntime" else [Step.segkd("build", ARTIFACT, *named, "--runtime", runtime)]
    steps.append(Step.segkd("validate", ARTIFACT, *named, *where, "--out", f"{OUT}/{ArtifactFiles.PARITY}"))
    module = "segkd_deploy.targets.predictions"
    for variant in variants:
        bench = f"{OUT}/{bench_path(request.artifact, variant).name}"
        one = ["--variant", variant, *where, "--out"]
        steps.append(Step.segkd("bench", ARTIFACT, *request.bench, *one, bench, name=f"bench {variant}"))
        labels = f"{OUT}/{_labels_file(variant)}"
        steps.append(Step(f"labels {variant}", ("{python}", "-m", module, ARTIFACT, *one, labels), passes=(0,)))
    return steps


def _measured(request: Request, spec: TargetSpec, folder: Path, outcome: Outcome) -> dict[str, Any]:
    """What came back, held against the gates."""
    variants = request.variants_of(spec)
    pulled = dataclasses.replace(request.artifact, folder=folder)
    needed = [folder / ArtifactFiles.PARITY]
    for variant in variants:
        needed += [bench_path(pulled, variant), folder / _labels_file(variant)]
    for path in needed:
        if path not in outcome.files:
            raise SegkdError(f"{spec.name}: {path.name} was not written there; {folder / 'log.txt'} says why")

    evidence = load_evidence(pulled, variants)
    precisions = {variant: pulled.manifest.variant(variant).precision for variant in variants}
    rows = check_evidence(precisions, pulled.manifest.gates, evidence.parity, evidence.benches, request.gates)

    passed = all(row["passed"] for row in rows)
    return {
        "exit_code": 0 if passed else 1,
        "error": None if passed else f"gates failed: {', '.join(failed_gates(rows, evidence.benches))}",
        "device": {key: outcome.facts[key] for key in _DEVICE_FACTS},
        "copied_bytes": outcome.copied_bytes,
        "steps": outcome.steps,
        "variants": {variant: _summary(evidence, variant, folder) for variant in variants},
        "gates": rows,
    }


def _summary(evidence: Evidence, variant: str, folder: Path) -> dict[str, Any]:
    parity, bench = evidence.parity["variants"][variant], evidence.benches[variant]
    labels = read_labels(folder / _labels_file(variant))
    return {
        "agreement": parity["agreement"],
        "miou_delta": parity["miou"]["delta"],
        "device": bench["device"]["model"],
        "p50_ms": bench["latency_ms"]["p50"],
        "p99_ms": bench["latency_ms"]["p99"],
        "throughput_fps": bench["throughput_fps"],
        "valid": bench["valid"],
        "invalid_reasons": bench["invalid_reasons"],
        "labels_sha256": hashlib.sha256(labels.tobytes()).hexdigest(),
    }


def _labels_equal(results: Sequence[dict[str, Any]]) -> dict[str, bool]:
    """Variant -> whether all devices that ran it gave the same labels; only variants that ran on more than one."""
    hashes: dict[str, list[str]] = {}
    for result in results:
        for variant, part in result["variants"].items():
            hashes.setdefault(variant, []).append(part["labels_sha256"])
    return {variant: len(set(values)) == 1 for variant, values in hashes.items() if len(values) > 1}


def _labels_file(variant: str) -> str:
    return f"labels.{variant}.npz"
