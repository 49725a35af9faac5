"""From files to rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.files.written_files import Parity, read_checked
from segkd.folders import ArtifactFiles
from segkd_deploy.artifact import Artifact, open_artifact
from segkd_deploy.compare.entry import Accuracy, Condition, Entry, Measured
from segkd_deploy.compare.run_entry import run_entry
from segkd_deploy.compare.sources import Source, bench_files, find_sources, read_bench

# Keys of a measurement's method that a reader of the table must see.
_MODES = {"cuda_graph": "CUDA graph", "zero_copy": "zero copy"}

Bench = tuple[Path, dict[str, Any]]


def collect(paths: Sequence[Path], variants: Sequence[str] = ()) -> list[Entry]:
    """The rows of everything named.

    Results that came from a device without the graph take size, classes and, if they have none, mIoU from the artifact
    with the same manifest, if it is named too or their report says where it lies.

    Args:
        paths: run folders, artifact folders, folders of results, single measurements, or folders of these.
        variants: only these variants; all if empty.

    Raises:
        SegkdError: for a path that holds nothing to compare, a damaged file, or a variant that no source has.
        GateFailed: if a file of an artifact has changed since the export.
    """
    sources = find_sources(paths)
    folders = [source.path if source.kind == "artifact" else source.artifact for source in sources]
    artifacts = {folder: open_artifact(folder, graphs=False) for folder in dict.fromkeys(folders) if folder is not None}
    by_sha = {artifact.manifest_sha256: artifact for artifact in artifacts.values()}
    entries: list[Entry] = []
    for source in sources:
        if source.kind == "run":
            entries.append(run_entry(source.path, source.label))
        else:
            entries += _variant_entries(source, artifacts.get(source.path), by_sha)
    seen = {entry.variant for entry in entries if entry.variant is not None}
    for variant in variants:
        if variant not in seen:
            raise SegkdError(f"none of these has a variant {variant!r}; there are {', '.join(sorted(seen)) or 'none'}")
    return [entry for entry in entries if not variants or entry.variant is None or entry.variant in variants]


def _variant_entries(source: Source, own: Artifact | None, by_sha: dict[str, Artifact]) -> list[Entry]:
    """One row per variant and measurement."""
    parity = _read_parity(source.path)
    benches = [(path, content) for path in bench_files(source.path) if (content := read_bench(path)) is not None]
    artifact = own if own is not None else _artifact_of(parity, benches, by_sha)
    names = list(own.manifest.variants) if own is not None else list((parity or {}).get("variants", {}))
    names += [] if own is not None else [_variant_of(content) for _, content in benches]
    entries = []
    for variant in dict.fromkeys(names):
        mine = [(path, content) for path, content in benches if _variant_of(content) == variant]
        base = _base(source, variant, artifact, mine)
        base = _with_accuracy(base, variant, artifact, parity)
        rows = [_with_bench(base, bench, artifact) for bench in mine] or [base]
        if len(rows) > 1:
            rows = [replace(row, name=f"{row.name} ({path.stem})") for row, (path, _) in zip(rows, mine, strict=True)]
        entries += rows
    return entries


def _artifact_of(
    parity: dict[str, Any] | None, benches: Sequence[Bench], by_sha: dict[str, Artifact]
) -> Artifact | None:
    """The artifact that results are of, by its manifest's hash."""
    parts = [(content or {}).get("artifact") for content in (parity, *(content for _, content in benches))]
    shas = [part.get("manifest_sha256") for part in parts if isinstance(part, dict)]
    return next((by_sha[sha] for sha in shas if sha in by_sha), None)


def _base(source: Source, variant: str, artifact: Artifact | None, benches: Sequence[Bench]) -> Entry:
    entry = Entry(f"{source.label}:{variant}", "variant", str(source.path), variant=variant)
    if artifact is None or variant not in artifact.manifest.variants:
        part = benches[0][1]["artifact"] if benches else {}
        note = "size and classes are not known: name the artifact too"
        return replace(entry, size_bytes=part.get("bytes"), precision=part.get("precision"), notes=(note,))
    frame, record = artifact.manifest.input, artifact.manifest.variants[variant]
    return replace(
        entry,
        size_px=(frame.height_px, frame.width_px),
        classes=tuple(artifact.class_names),
        size_bytes=record.bytes,
        precision=record.precision,
    )


def _with_accuracy(entry: Entry, variant: str, artifact: Artifact | None, parity: dict[str, Any] | None) -> Entry:
    """The row with its mIoU; that of the artifact's own folder if the results have none."""
    folder = Path(entry.source)
    if parity is None and artifact is not None:
        parity, folder = _read_parity(artifact.folder), artifact.folder
    part = ((parity or {}).get("variants") or {}).get(variant)
    if parity is None or not isinstance(part, dict):
        return entry

    problems, notes = list(entry.problems), list(entry.notes)
    seen = (parity.get("artifact") or {}).get("manifest_sha256")
    if artifact is not None and variant in artifact.manifest.variants:
        now = (artifact.manifest_sha256, artifact.manifest.variants[variant].sha256)
        if (seen, part.get("sha256")) != now:
            problems.append(
                f"{folder / ArtifactFiles.PARITY} speaks of another export than {artifact.folder} holds; run "
                f"`segkd validate {artifact.folder}`"
            )

    failed = [str(gate.get("name")) for gate in part.get("gates") or [] if not gate.get("passed")]
    if failed:
        notes.append(f"validate failed: {', '.join(failed)}")
    if str(folder) != entry.source:
        notes.append(f"mIoU as measured in {folder}, {_runtime_words(part.get('runtime') or {})}")

    accuracy = _accuracy(part, artifact, str(seen), _one_whole_set(parity))
    return replace(entry, accuracy=accuracy, problems=tuple(problems), notes=tuple(notes))


def _one_whole_set(parity: dict[str, Any]) -> bool:
    """Whether all variants were scored on one whole data set; else the reference frames are what they share."""
    sets = [part.get("whole_set") for part in parity["variants"].values() if isinstance(part, dict)]
    found = {whole.get("fingerprint") if isinstance(whole, dict) else None for whole in sets}
    return len(found) == 1 and None not in found


def _accuracy(
    part: dict[str, Any], artifact: Artifact | None, manifest_sha256: str, whole_set: bool
) -> Accuracy | None:
    """The mIoU of the whole data set if all variants were scored on it, else that of the reference frames."""
    whole = part.get("whole_set") if whole_set else None
    if isinstance(whole, dict) and whole.get("miou") is not None:
        return Accuracy(whole["miou"], "data set", whole.get("fingerprint"), whole.get("data"), whole.get("images"))
    miou = (part.get("miou") or {}).get("graph")
    if miou is None:
        return None
    fingerprint = manifest_sha256[:16] if artifact is None else _reference_fingerprint(artifact)
    return Accuracy(miou, "reference frames", fingerprint, images=part.get("frames"))


def _reference_fingerprint(artifact: Artifact) -> str | None:
    """A hash of the reference frames and their truth: artifacts that share it were scored on the same pixels."""
    reference = artifact.manifest.reference
    if reference is None:
        return None
    hashes = [artifact.manifest.files.get(reference.files.get(key, ""), "") for key in ("frames", "truth")]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]


def _with_bench(entry: Entry, bench: Bench, artifact: Artifact | None) -> Entry:
    path, content = bench
    record = None if artifact is None else artifact.manifest.variants.get(str(entry.variant))
    measured = _measured(path, content)
    problems = list(entry.problems)
    if artifact is not None and (record is None or content["artifact"].get("sha256") != record.sha256):
        command = f"segkd bench {artifact.folder} --variant {entry.variant}"
        problems.append(f"{path} speaks of another graph than {artifact.folder} holds; run `{command}`")
    return replace(entry, measured=measured, problems=tuple(problems))


def _measured(path: Path, content: dict[str, Any]) -> Measured:
    device, runtime, method = (content.get(key) or {} for key in ("device", "runtime", "method"))
    power, memory = content.get("power") or {}, content.get("memory") or {}
    mode = device.get("nvpmodel")
    if isinstance(mode, dict):
        mode = " ".join(str(mode[key]) for key in ("name", "id") if mode.get(key) is not None)

    invalid = []
    if content.get("valid") is False:
        reasons = "; ".join(content.get("invalid_reasons") or ["it gives no reason"])
        invalid.append(f"{path} is not valid: {reasons}")

    return Measured(
        condition=Condition(
            device.get("model"),
            None if mode is None else str(mode),
            device.get("clocks_locked"),
            _scenario_words(method),
            method.get("batch"),
            method.get("includes_transfers"),
        ),
        runtime=" ".join([_runtime_words(runtime), *(words for key, words in _MODES.items() if method.get(key))]),
        p50_ms=content["latency_ms"].get("p50"),
        p99_ms=content["latency_ms"].get("p99"),
        throughput_fps=content.get("throughput_fps"),
        energy_mj=power.get("energy_mj_per_frame"),
        net_energy_mj=power.get("net_energy_mj_per_frame"),
        rss_bytes=memory.get("rss_peak"),
        invalid=tuple(invalid),
        file=str(path),
    )


def _scenario_words(method: dict[str, Any]) -> str | None:
    """The scenario, at a fixed rate with the rate: latency counts from when a frame is due."""
    name, fps = method.get("scenario"), method.get("fps")
    return f"{name} {fps:g} frames/s" if name is not None and fps is not None else name


def _runtime_words(runtime: dict[str, Any]) -> str:
    provider = str(runtime.get("provider") or "").removesuffix("ExecutionProvider")
    threads = runtime.get("threads")
    parts = (runtime.get("name"), runtime.get("version"), provider, f"{threads} threads" if threads else None)
    return " ".join(str(part) for part in parts if part)


def _variant_of(bench: dict[str, Any]) -> str:
    return str(bench["artifact"].get("variant"))


def _read_parity(folder: Path) -> dict[str, Any] | None:
    path = folder / ArtifactFiles.PARITY
    if not path.is_file():
        return None
    return read_checked(path, Parity, "make it again with `segkd validate`", ("variants",))
