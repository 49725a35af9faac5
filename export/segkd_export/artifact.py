"""An artifact folder: graphs, their check against torch, the reference frames and the manifest."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import segkd
from segkd.errors import SegkdError, import_extra
from segkd.files import write_json
from segkd.files.destinations import require_writable_folder
from segkd.files.unfinished import replace_folder, unfinished
from segkd.folders import ArtifactFiles
from segkd.manifest import (
    Input,
    Labels,
    Manifest,
    Normalisation,
    Output,
    Outputs,
    Reference,
    Source,
    hash_files,
    write_manifest,
)
from segkd_distill.run.provenance import git_state
from segkd_export.graph.graph import OUTPUTS
from segkd_export.graph.to_onnx import INPUT
from segkd_export.origin import is_run_name
from segkd_export.precision.int8_search import Quantised
from segkd_export.precision.sensitivity import FORM
from segkd_export.reference import predict, say_stretched, with_response, write_reference
from segkd_export.run_evaluation import run_evaluation
from segkd_export.sources import ExportRequest, Sources, constants, gather
from segkd_export.variants import Written, write_variants

SENSITIVITY_FILE = "sensitivity.json"
TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Attributes:
        folder: the artifact folder.
        manifest: its manifest.
        written: variant -> its size and how far its graph is from torch.
        quantised: how int8 came to be; None if it was not asked for.
    """

    folder: Path
    manifest: Manifest
    written: dict[str, Written]
    quantised: Quantised | None


def export_artifact(request: ExportRequest, say: Callable[[str], None] = lambda line: None) -> ExportResult:
    """Write an artifact folder in one step: it is built beside its final place, checked, then renamed.

    Args:
        request: what to export.
        say: is told, in one line, what is being done.

    Raises:
        SegkdError: if the sources do not fit, or the folder exists and may not be replaced.
        GateFailed: if the float32 graph does not agree with torch, or int8 does not hold its limits; nothing is left
            behind then.
        MissingExtra: if onnx, onnxscript or onnxruntime is not installed.
    """
    for module in ("onnx", "onnxscript", "onnxruntime"):
        import_extra(module, "export")
    if request.out is None and not is_run_name(request.run):
        raise SegkdError(f"{request.run} is no run folder to put the artifact into; name a folder with --out")
    out = request.out if request.out is not None else request.run / "artifact"
    # What a link points to is written, and not the link replaced.
    place = Path(os.path.realpath(out))
    _check_target(place, request.overwrite)
    require_writable_folder(place.parent)
    sources = gather(request)
    _say_what_is_odd(request, sources, say)
    with unfinished(place, folder=True) as building:
        result = _build(building, request, sources, say)
        replace_folder(building, place)
    return replace(result, folder=out)


def _say_what_is_odd(request: ExportRequest, sources: Sources, say: Callable[[str], None]) -> None:
    """One line each about what the sources lack or lose."""
    if sources.teacher is None:
        say("reference without teacher labels" + (": the run has no teacher" if request.with_teacher else ""))
    if (line := say_stretched(sources.frames, sources.camera)) is not None:
        say(line)
    if len(sources.frames.ids) < request.reference:
        say(f"the data has only {len(sources.frames.ids)} frames for the reference")


def _build(folder: Path, request: ExportRequest, sources: Sources, say: Callable[[str], None]) -> ExportResult:
    images = sources.frames.images
    say(f"labelling {len(images)} reference frames with torch on {sources.device}")
    student = predict(sources.origin.network, images, sources.device, sources.camera)
    student = with_response(student, sources.origin.network, images, sources.device, sources.camera)
    written, quantised = write_variants(folder, sources, student, request.batch, request.int8, say, request.opset)
    if quantised is not None and quantised.ranking is not None:
        write_json(folder / SENSITIVITY_FILE, _sensitivity(quantised))
    teacher_labels = None
    if sources.teacher is not None:
        teacher_labels = predict(sources.teacher, images, sources.device, sources.camera).labels
    names = write_reference(folder / ArtifactFiles.REFERENCE, sources.frames, student, teacher_labels)
    manifest = _manifest(folder, request, sources, written, quantised, names)
    write_manifest(folder, manifest)
    return ExportResult(folder, manifest, written, quantised)


def _sensitivity(quantised: Quantised) -> dict[str, Any]:
    """Content of ``sensitivity.json``: every layer quantised alone, the worst first."""
    rows = [{**row.to_dict(), "float": row.layer in quantised.float_layers} for row in quantised.ranking or []]
    return {"schema": 1, "form": FORM, "method": quantised.calibration.method, "layers": rows}


def _manifest(
    folder: Path,
    request: ExportRequest,
    sources: Sources,
    written: dict[str, Written],
    quantised: Quantised | None,
    reference_names: dict[str, str],
) -> Manifest:
    origin, camera = sources.origin, sources.camera
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    batch, batch_range = (request.batch, None) if isinstance(request.batch, int) else (None, request.batch)

    return Manifest(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        segkd_version=segkd.__version__,
        source=Source(
            run=origin.name,
            model=origin.model,
            weights_sha256=origin.weights_sha256,
            fingerprint=sources.fingerprint,
            git=_commit(),
        ),
        label_space=Labels(**origin.label_space.to_dict()),
        input=Input(
            name=INPUT,
            layout="NHW" if camera.yuv is not None else "NHWC",
            color=camera.color,
            yuv=camera.yuv,
            height_px=camera.frame[0],
            width_px=camera.frame[1],
            batch=batch,
            batch_range=batch_range,
        ),
        outputs=Outputs(labels=Output(name=OUTPUTS[0], shape=[batch, *camera.labels_px])),
        geometry=camera.geometry(),
        normalisation=Normalisation(mean=constants(origin.network.mean), std=constants(origin.network.std)),
        variants={name: part.variant for name, part in written.items()},
        reference=Reference(
            count=len(sources.frames.ids),
            files={what: f"reference/{name}" for what, name in reference_names.items()},
            teacher="teacher" in reference_names,
            ids="reference/ids.json",
        ),
        evaluation=run_evaluation(request.run, origin.recipe) if is_run_name(request.run) else None,
        calibration=None if quantised is None else quantised.calibration,
        gates=origin.recipe.gates or {},
        tools={tool: importlib.metadata.version(tool) for tool in TOOLS},
        files=hash_files(folder, files),
    )


def _commit() -> str | None:
    """The commit of segkd's source tree, marked as git does where the tree was changed; None if it is installed."""
    state = git_state()
    return None if state is None else state["commit"] + ("-dirty" if state["changed"] else "")


def _check_target(out: Path, overwrite: bool) -> None:
    """Refuse a folder that cannot be made, or is there, unless it is an artifact that may be replaced."""
    parent = next(folder for folder in out.parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise SegkdError(f"{out} cannot be written: {parent} cannot; name a folder that can with --out")
    if not out.exists():
        return
    if not overwrite:
        raise SegkdError(f"{out} is already there; name another --out, or replace it with --overwrite")
    if not (out / ArtifactFiles.MANIFEST).is_file():
        raise SegkdError(f"{out} is no artifact folder, so --overwrite does not touch it; name another --out")
