"""The files of a run folder as parts of a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkd.data.base import LabelSpace
from segkd.errors import SegkdError
from segkd.files.small_files import JSON_BYTES, one_line, parse_json, read_text
from segkd.files.written_files import ModelCard, RunRecord, read_checked
from segkd.folders import RunFiles, is_run
from segkd.report.content import Chart, ClassTable, Headline, Series


@dataclass(frozen=True)
class RunContent:
    """What a run folder tells.

    Attributes:
        name: what the report calls the run.
        record: content of ``run.json``, empty if there is none.
        metrics: lines of ``metrics.jsonl``.
        labels: the label space of ``model.json``, None if there is none.
    """

    name: str
    record: dict[str, Any]
    metrics: list[dict[str, Any]]
    labels: LabelSpace | None


def read_run_files(folder: Path, name: str | None = None) -> RunContent:
    """Read the files of a run that are there.

    Args:
        folder: the run folder.
        name: what to call it; by default the folder's name.

    Raises:
        SegkdError: if it is no run folder, or one of its files is damaged.
    """
    if not is_run(folder):
        raise SegkdError(
            f"{folder} is no run folder: it has no {RunFiles.RECORD}, {RunFiles.METRICS} or {RunFiles.CARD}"
        )

    record = (
        read_checked(folder / RunFiles.RECORD, RunRecord, "train the run again")
        if (folder / RunFiles.RECORD).is_file()
        else {}
    )
    metrics = read_metrics(folder / RunFiles.METRICS) if (folder / RunFiles.METRICS).is_file() else []

    labels = None
    if (folder / RunFiles.CARD).is_file():
        try:
            labels = LabelSpace.from_dict(
                read_checked(folder / RunFiles.CARD, ModelCard, "train the run again")["label_space"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SegkdError(
                f"{folder / RunFiles.CARD}: no valid label space ({error!r}); train the run again"
            ) from error
    return RunContent(name or folder.resolve().name, record, metrics, labels)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read the lines of ``metrics.jsonl``.

    A last line without its end is left out: the run was still writing it.

    Raises:
        SegkdError: ``file:line`` for a line that is not a JSON object.
    """
    lines = []
    text = read_text(path, JSON_BYTES)
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.strip() or not line.endswith("\n"):
            continue
        entry = parse_json(line, f"{path}:{number}")
        if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
            raise SegkdError(
                f"{path}:{number}: expected an object with a whole number 'step', got {one_line(line.strip(), 80)}"
            )
        lines.append(entry)
    return lines


def headline(run: RunContent) -> Headline:
    """Quality, size and training time; the last validation's mIoU if the run was not evaluated."""
    evaluated = (run.record.get("eval") or {}).get("miou")
    curve = _curve(run, "eval", "miou")
    miou = evaluated if evaluated is not None else (curve[-1][1] if curve else None)
    seconds = run.record.get("seconds")
    training = seconds.get("train") if isinstance(seconds, dict) else seconds
    return Headline(run.name, miou, run.record.get("params"), training)


def class_table(runs: list[RunContent], baseline: str | None) -> ClassTable | None:
    """IoU per class of the runs that were evaluated.

    Raises:
        SegkdError: if they have different classes.
    """
    tables = {
        run.name: run.record["eval"]["per_class"] for run in runs if (run.record.get("eval") or {}).get("per_class")
    }
    if not tables:
        return None
    first, *others = tables
    names = list(tables[first])
    for other in others:
        if list(tables[other]) != names:
            raise SegkdError(f"the runs {first} and {other} have different classes; report them one by one")
    runs_iou = {name: [per_class[c] for c in names] for name, per_class in tables.items()}
    return ClassTable(names, runs_iou, baseline if baseline in runs_iou else None)


def charts(runs: list[RunContent]) -> list[Chart]:
    """Validation mIoU and training loss of all runs, then the terms of each loss that has several."""
    validation = [Series(run.name, [(x, 100 * y) for x, y in _curve(run, "eval", "miou")]) for run in runs]
    losses = [Series(run.name, _total_loss(run)) for run in runs]
    result = [
        Chart("Validation mIoU", "iteration", "mIoU, %", validation),
        Chart("Training loss", "iteration", "loss", losses),
    ]
    for run in runs:
        terms = _term_names(run)
        if len(terms) > 1:
            series = [Series(term, _curve(run, "train", term)) for term in terms]
            result.append(Chart(f"Terms of the loss, {run.name}", "iteration", "weighted term", series))
    return [chart for chart in result if any(series.points for series in chart.series)]


def _curve(run: RunContent, event: str, key: str) -> list[tuple[float, float]]:
    return [
        (entry["step"], float(entry[key]))
        for entry in run.metrics
        if entry.get("event") == event and isinstance(entry.get(key), (int, float))
    ]


def _term_names(run: RunContent) -> list[str]:
    """Terms are named ``part/term``, as in ``task/ce``."""
    names: dict[str, None] = {}
    for entry in run.metrics:
        if entry.get("event") == "train":
            names.update(dict.fromkeys(key for key in entry if "/" in key))
    return list(names)


def _total_loss(run: RunContent) -> list[tuple[float, float]]:
    total = _curve(run, "train", "loss")
    if total:
        return total
    points = []
    for entry in run.metrics:
        terms = [value for key, value in entry.items() if "/" in key and isinstance(value, (int, float))]
        if entry.get("event") == "train" and terms:
            points.append((float(entry["step"]), float(sum(terms))))
    return points
