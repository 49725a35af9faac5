"""From folders to a report: a quickstart's folder, a run, several runs side by side, or an artifact."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd import __version__
from segkd.data.base import LabelSpace
from segkd.errors import SegkdError
from segkd.files import read_object
from segkd.files.arrays import map_array
from segkd.files.written_files import Bench, JsonContent, Parity, ReleaseRecord, read_checked
from segkd.folders import ArtifactFiles, is_artifact, is_run
from segkd.report.content import RGB, Headline, Panel, PictureRow, Pictures, ReportData, Step
from segkd.report.evidence_files import latency, parity_gates, parity_rows, release_gates
from segkd.report.published_numbers import published_tables
from segkd.report.run_files import RunContent, charts, class_table, headline, read_run_files

SUMMARY = "summary.json"
MAX_REFERENCE_ROWS = 6
EVIDENCE: dict[str, type[JsonContent]] = {"parity": Parity, "bench": Bench, "release": ReleaseRecord}

# Parts of a summary and its pictures -> what the report calls them, in the order of the columns.
RUNS: dict[str, str] = {"student": "student alone", "distilled": "distilled", "teacher": "teacher"}
PANELS: dict[str, str] = {"image": "frame", "truth": "ground truth", **RUNS}


def collect_report(folder: Path) -> ReportData:
    """Build a report from the files of a folder.

    Args:
        folder: with a ``summary.json`` (as ``segkd quickstart`` leaves it), a run folder, an artifact folder, or a
            folder of run folders, which are then compared.

    Raises:
        SegkdError: if it is none of these, or one of its files is damaged or missing.
    """
    if (folder / SUMMARY).is_file():
        return _from_summary(folder, read_object(folder / SUMMARY))
    if is_artifact(folder):
        return _from_artifact(folder)
    if is_run(folder):
        return _from_runs(folder, [read_run_files(folder)])
    runs = [read_run_files(path) for path in sorted(folder.iterdir()) if path.is_dir() and is_run(path)]
    if not runs:
        raise SegkdError(
            f"{folder}: nothing to report: expected {SUMMARY}, {ArtifactFiles.MANIFEST}, "
            "a run's run.json or metrics.jsonl, or run folders in it"
        )
    return _from_runs(folder, runs)


def _from_runs(folder: Path, runs: list[RunContent]) -> ReportData:
    return ReportData(
        title=f"Run {runs[0].name}" if len(runs) == 1 else f"{len(runs)} runs in {folder.resolve().name}",
        subtitle=_subtitle(),
        headlines=[headline(run) for run in runs],
        charts=charts(runs),
        classes=class_table(runs, None),
        published=published_tables(runs),
    )


def _from_artifact(folder: Path) -> ReportData:
    from segkd.manifest import load_manifest

    manifest = load_manifest(folder)
    labels = manifest.label_space
    recorded = manifest.reference.files if manifest.reference is not None else {}
    arrays = {
        caption: _array(folder / recorded[key])
        for key, caption in (
            ("frames", "frame"),
            ("truth", "ground truth"),
            ("student", "student"),
            ("teacher", "teacher"),
        )
        if key in recorded
    }
    frames = min((len(array) for array in arrays.values()), default=0)
    rows = [
        PictureRow(f"reference {index}", [Panel(caption, array[index]) for caption, array in arrays.items()])
        for index in _spread(frames, MAX_REFERENCE_ROWS)
    ]
    parity = (
        read_checked(folder / ArtifactFiles.PARITY, Parity, "make it again with `segkd validate`")
        if (folder / ArtifactFiles.PARITY).is_file()
        else {}
    )
    bench = (
        read_checked(folder / ArtifactFiles.BENCH, Bench, "make it again with `segkd bench`")
        if (folder / ArtifactFiles.BENCH).is_file()
        else {}
    )
    return ReportData(
        title=f"Artifact {folder.resolve().name}",
        subtitle=_subtitle(),
        pictures=Pictures(rows, labels.names, [(r, g, b) for r, g, b in labels.palette]),
        parity=parity_rows(parity),
        gates=parity_gates(parity),
        latency=latency(bench),
    )


def _from_summary(folder: Path, summary: Any) -> ReportData:
    if not isinstance(summary, dict):
        raise SegkdError(f"{folder / SUMMARY}: expected an object, got {type(summary).__name__}")
    runs = [read_run_files(folder / path, RUNS[key]) for key, path in _run_paths(summary).items()]
    headlines = [headline(run) for run in runs]
    parity, bench, release = (_evidence(folder, summary.get(key), model) for key, model in EVIDENCE.items())
    return ReportData(
        title=str(summary.get("title") or "From teacher to device"),
        subtitle=_subtitle(),
        verdict=_verdict(headlines),
        headlines=headlines,
        pictures=_pictures(folder, summary.get("pictures") or [], [run.labels for run in runs if run.labels]),
        charts=charts(runs),
        classes=class_table(runs, RUNS["student"]),
        parity=parity_rows(parity),
        gates=release_gates(release) or parity_gates(parity),
        latency=latency(bench),
        steps=[Step(str(step["command"]), step.get("seconds")) for step in summary.get("steps") or []],
    )


def _run_paths(summary: Mapping[str, Any]) -> dict[str, str]:
    """Run folders by name, from ``runs: {name: path}`` or ``name: {run: path}``."""
    listed = summary.get("runs") or {}
    paths = {key: listed.get(key) or (summary.get(key) or {}).get("run") for key in RUNS}
    return {key: str(path) for key, path in paths.items() if path}


def _evidence(folder: Path, entry: Any, model: type[JsonContent]) -> dict[str, Any]:
    """A file that the summary names, as text or as ``{"file": path}``."""
    path = entry.get("file") if isinstance(entry, dict) else entry
    if not path:
        return {}
    return read_checked(folder / str(path), model, "make it again")


def _verdict(headlines: list[Headline]) -> str:
    miou = {row.name: row.miou for row in headlines}
    alone, distilled = miou.get(RUNS["student"]), miou.get(RUNS["distilled"])
    if alone is None or distilled is None:
        return ""
    gain = 100 * (distilled - alone)
    change = f"{100 * alone:.1f} % alone, {100 * distilled:.1f} % distilled ({gain:+.1f} points)"
    return f"Distillation {'raised' if gain > 0 else 'did not raise'} the student's mIoU: {change}."


def _pictures(folder: Path, entries: list[Mapping[str, Any]], spaces: list[LabelSpace]) -> Pictures | None:
    if not entries:
        return None
    rows = []
    for entry in entries:
        panels = [
            Panel(caption, _read_picture(folder / str(entry[key]), as_labels=key != "image"))
            for key, caption in PANELS.items()
            if entry.get(key)
        ]
        rows.append(PictureRow(str(entry.get("id", "")), panels))
    names = list(spaces[0].names) if spaces else []
    palette: list[RGB] = list(spaces[0].palette) if spaces else []
    return Pictures(rows, names, palette)


def _read_picture(path: Path, as_labels: bool) -> NDArray[np.uint8]:
    """A photograph, or a label map: class indices, Cityscapes label ids (told by the file's name), or colours."""
    from segkd.data.formats.decode import read_label_values, read_rgb

    if not as_labels:
        return read_rgb(path)
    values = read_label_values(path)
    if values.ndim == 2 and path.name.endswith("_labelIds.png"):
        from segkd.data.readers.cityscapes import label_id_map

        return label_id_map().apply(values, path, "Cityscapes label ids are 0 to 33 and 255")
    return values


def _array(path: Path) -> NDArray[np.uint8]:
    array = map_array(path)
    pictures = array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)
    if array.dtype != np.uint8 or not pictures or 0 in array.shape[1:]:
        expected = "expected uint8 pictures (N, H, W) or (N, H, W, 3)"
        raise SegkdError(f"{path}: {expected}, found {array.dtype} {array.shape}; export it again")
    return array


def _spread(count: int, most: int) -> list[int]:
    """At most ``most`` indices, spread evenly over ``count``."""
    shown = min(count, most)
    return [index * count // shown for index in range(shown)]


def _subtitle() -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{now:%Y-%m-%d %H:%M} UTC, segkd {__version__}"
