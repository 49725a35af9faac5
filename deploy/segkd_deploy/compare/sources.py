"""What was named on the command line: runs, artifacts, measurements of devices, or folders of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from segkd.errors import SegkdError
from segkd.files import read_json, read_object
from segkd.files.written_files import Bench, check_content
from segkd.folders import ArtifactFiles, is_artifact, is_run

REPORT_FILE = "report.json"


@dataclass(frozen=True)
class Source:
    """Something that has rows.

    Attributes:
        path: the folder, or the file of one measurement.
        kind: a run folder, an artifact folder, or ``results``: measurements without the graphs.
        label: what its rows are called; unique.
        artifact: where the artifact of results lies, if their report says so.
    """

    path: Path
    kind: Literal["run", "artifact", "results"]
    label: str
    artifact: Path | None = None


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """The sources in the order of the paths, those of a folder by name; each once.

    Raises:
        SegkdError: for a path without any.
    """
    found: dict[Path, tuple[Path, Literal["run", "artifact", "results"], Path | None]] = {}
    for path in paths:
        for entry in _sources_of(path):
            found.setdefault(entry[0].resolve(), entry)
    labels = unique_labels(list(found))
    return [Source(path, kind, labels[key], artifact) for key, (path, kind, artifact) in found.items()]


def bench_files(path: Path) -> list[Path]:
    """The measurements in a folder, or the file itself."""
    return (
        [path] if path.is_file() else [file for file in sorted(path.glob(ArtifactFiles.BENCH_GLOB)) if read_bench(file)]
    )


def read_bench(path: Path) -> dict[str, Any] | None:
    """The content of a measurement; None if the file is something else, as a sweep's.

    Raises:
        SegkdError: if it is not JSON, or a key holds another type than `segkd bench` writes.
    """
    content = read_json(path)
    if isinstance(content, dict) and "latency_ms" in content and "artifact" in content:
        return check_content(content, str(path), Bench, "measure again with `segkd bench`", ("latency_ms", "artifact"))
    return None


def unique_labels(paths: Sequence[Path]) -> dict[Path, str]:
    """A short name for each path: its last part, with more of them where that is not enough."""
    labels = {}
    for path in paths:
        names = (*path.parts[1:-1], path.stem if path.suffix == ".json" else path.name)
        others = [other for other in paths if other != path]
        count = 1
        while count < len(names) and any(_tail(other, count) == "/".join(names[-count:]) for other in others):
            count += 1
        labels[path] = "/".join(names[-count:])
    return labels


def _tail(path: Path, count: int) -> str:
    names = (*path.parts[1:-1], path.stem if path.suffix == ".json" else path.name)
    return "/".join(names[-count:])


def _sources_of(path: Path) -> list[tuple[Path, Literal["run", "artifact", "results"], Path | None]]:
    if not path.exists():
        raise SegkdError(f"{path}: no such file or folder")
    if path.is_file():
        if path.suffix != ".json" or read_bench(path) is None:
            raise SegkdError(f"{path}: expected a folder, or a file that `segkd bench --out` wrote")
        return [(path, "results", None)]
    kind = _kind(path)
    artifact = _reported_artifact(path / REPORT_FILE)
    if kind is not None:
        return [(path, kind, artifact)]
    inside = [(folder, _kind(folder)) for folder in sorted(path.iterdir()) if folder.is_dir()]
    known = [(folder, kind, artifact) for folder, kind in inside if kind is not None]
    if not known:
        raise SegkdError(
            f"{path}: nothing to compare: expected a run, an artifact ({ArtifactFiles.MANIFEST}), "
            f"{ArtifactFiles.PARITY} or {ArtifactFiles.BENCH}, or folders of these"
        )
    return known


def _kind(folder: Path) -> Literal["run", "artifact", "results"] | None:
    if is_artifact(folder):
        return "artifact"
    if is_run(folder):
        return "run"
    if (folder / ArtifactFiles.PARITY).is_file() or any(folder.glob(ArtifactFiles.BENCH_GLOB)):
        return "results"
    return None


def _reported_artifact(report: Path) -> Path | None:
    """The artifact that ``segkd deploy`` names in its report, if it still lies there."""
    try:
        named = Path(read_object(report)["artifact"]["path"])
    except (SegkdError, KeyError, TypeError):
        return None
    return named if is_artifact(named) else None
