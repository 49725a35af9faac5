"""An artifact folder: graphs, their check against torch, the reference frames and the manifest."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import torch

import segkd
from segkd.errors import SegkdError, import_extra
from segkd.files import sha256_file, write_atomic
from segkd.manifest import FILE_NAME as MANIFEST_FILE
from segkd.manifest import (
    Input,
    Labels,
    Manifest,
    Normalisation,
    Output,
    Outputs,
    Reference,
    Source,
    Variant,
    hash_files,
    write_manifest,
)
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.provenance import git_state
from segkd_distill.runs import WEIGHTS
from segkd_export.graph import OUTPUTS, DeployGraph, deployable
from segkd_export.graph_check import GraphCheck, check_graph
from segkd_export.reference import predict, write_reference
from segkd_export.sources import ExportRequest, Sources, gather
from segkd_export.to_onnx import INPUT, OPSET, cut_to, to_onnx

TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Attributes:
        folder: the artifact folder.
        manifest: its manifest.
        nodes: variant -> nodes of the complete graph.
        checks: variant -> how far its graph is from torch.
    """

    folder: Path
    manifest: Manifest
    nodes: dict[str, int]
    checks: dict[str, GraphCheck]


def export_artifact(request: ExportRequest, say: Callable[[str], None] = lambda line: None) -> ExportResult:
    """Write an artifact folder in one step: it is built beside its final place, checked, then renamed.

    Args:
        request: what to export.
        say: is told, in one line, what is being done.

    Raises:
        SegkdError: if the sources do not fit, or the folder exists and may not be replaced.
        GateFailed: if the graph does not agree with torch; nothing is left behind then.
        MissingExtra: if onnx, onnxscript or onnxruntime is not installed.
    """
    for module in ("onnx", "onnxscript", "onnxruntime"):
        import_extra(module, "export")
    out = request.out if request.out is not None else request.run / "artifact"
    _check_target(out, request.overwrite)
    sources = gather(request)
    if sources.teacher is None:
        say("reference without teacher labels" + (": the run has no teacher" if request.with_teacher else ""))
    if len(sources.frames.ids) < request.reference:
        say(f"the data has only {len(sources.frames.ids)} frames for the reference")
    building = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    building.mkdir(parents=True)
    try:
        result = _build(building, request, sources, say)
        _put_in_place(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return ExportResult(out, result.manifest, result.nodes, result.checks)


def _build(folder: Path, request: ExportRequest, sources: Sources, say: Callable[[str], None]) -> ExportResult:
    images = sources.frames.images
    say(f"labelling {len(images)} reference frames with torch on {sources.device}")
    student = predict(sources.run.model, images, sources.device)
    network = deployable(sources.run.model, sources.imgsz)
    weights_sha256 = sha256_file(sources.run.folder / WEIGHTS)
    say(f"exporting {sources.imgsz[0]}x{sources.imgsz[1]} graphs")
    variant, nodes = _write_fp32(folder, network, sources, request.batch, weights_sha256)
    say("comparing onnxruntime with torch")
    twin = folder / str(variant.logits_file)
    check = check_graph(folder / variant.file, twin, images, student, request.batch)
    teacher_labels = predict(sources.teacher, images, sources.device).labels if sources.teacher is not None else None
    names = write_reference(folder / "reference", sources.frames, student, teacher_labels)
    manifest = _manifest(folder, request, sources, {"fp32": variant}, names, weights_sha256)
    write_manifest(folder, manifest)
    return ExportResult(folder, manifest, {"fp32": nodes}, {"fp32": check})


def _write_fp32(
    folder: Path, network: Segmenter, sources: Sources, batch: int, weights_sha256: str
) -> tuple[Variant, int]:
    """Write ``model.fp32.onnx`` and its logits twin; returns the manifest's entry and the number of nodes."""
    frames = torch.zeros(batch, *sources.imgsz, 3, dtype=torch.uint8)
    both = to_onnx(DeployGraph(network), frames, OUTPUTS, _metadata(sources, weights_sha256))
    complete, twin = (cut_to(both, output) for output in OUTPUTS)
    file, logits_file = folder / "model.fp32.onnx", folder / "model.fp32.logits.onnx"
    write_atomic(file, complete.SerializeToString(deterministic=True))
    write_atomic(logits_file, twin.SerializeToString(deterministic=True))
    variant = Variant(
        file=file.name,
        logits_file=logits_file.name,
        precision="fp32",
        opset=OPSET,
        sha256=sha256_file(file),
        bytes=file.stat().st_size,
    )
    return variant, len(complete.graph.node)


def _metadata(sources: Sources, weights_sha256: str) -> dict[str, str]:
    """What a graph says of itself."""
    labels, model = sources.run.label_space, sources.run.model
    return {
        "task": "semantic-segmentation",
        "classes": json.dumps(list(labels.names)),
        "palette": json.dumps([list(colour) for colour in labels.palette]),
        "ignore": str(labels.ignore),
        "color": "RGB",
        "mean": json.dumps(_constants(model.mean)),
        "std": json.dumps(_constants(model.std)),
        "weights_sha256": weights_sha256,
        "segkd_version": segkd.__version__,
    }


def _constants(values: torch.Tensor) -> tuple[float, float, float]:
    """Three float32 constants as the shortest decimals that round to them."""
    red, green, blue = (float(str(value)) for value in values.flatten().cpu().numpy())
    return red, green, blue


def _manifest(
    folder: Path,
    request: ExportRequest,
    sources: Sources,
    variants: dict[str, Variant],
    reference_names: dict[str, str],
    weights_sha256: str,
) -> Manifest:
    run, (height_px, width_px) = sources.run, sources.imgsz
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return Manifest(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        segkd_version=segkd.__version__,
        source=Source(
            run=run.folder.resolve().name,
            model=run.config.to_dict(),
            weights_sha256=weights_sha256,
            fingerprint=sources.fingerprint,
            git=_commit(),
        ),
        label_space=Labels(**run.label_space.to_dict()),
        input=Input(name=INPUT, height_px=height_px, width_px=width_px, batch=request.batch),
        outputs=Outputs(labels=Output(name=OUTPUTS[0], shape=[request.batch, height_px, width_px])),
        normalisation=Normalisation(mean=_constants(run.model.mean), std=_constants(run.model.std)),
        variants=variants,
        reference=Reference(
            count=len(sources.frames.ids),
            files={what: f"reference/{name}" for what, name in reference_names.items()},
            teacher="teacher" in reference_names,
            ids="reference/ids.json",
        ),
        tools={tool: importlib.metadata.version(tool) for tool in TOOLS},
        files=hash_files(folder, files),
    )


def _commit() -> str | None:
    """The commit of segkd's source tree, marked as git does where the tree was changed; None if it is installed."""
    state = git_state()
    return None if state is None else state["commit"] + ("-dirty" if state["changed"] else "")


def _check_target(out: Path, overwrite: bool) -> None:
    """Refuse a folder that is there, unless it is an artifact that may be replaced."""
    if not out.exists():
        return
    if not overwrite:
        raise SegkdError(f"{out} is already there; name another --out, or replace it with --overwrite")
    if not (out / MANIFEST_FILE).is_file():
        raise SegkdError(f"{out} is no artifact folder, so --overwrite does not touch it; name another --out")


def _put_in_place(building: Path, out: Path) -> None:
    """Rename; an old artifact steps aside and is removed when the new one is there."""
    if not out.exists():
        os.replace(building, out)
        return
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    os.replace(out, old)
    os.replace(building, out)
    shutil.rmtree(old)
