"""A run folder as a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segkd.files.written_files import ModelCard, RunRecord, read_checked
from segkd.files.yaml_lines import read_yaml_file
from segkd.folders import RunFiles
from segkd.report.run_files import read_metrics
from segkd_deploy.compare.entry import Accuracy, Entry


def run_entry(folder: Path, label: str) -> Entry:
    """The row of a run: its mIoU is that of the weights which it kept.

    Raises:
        SegkdError: if one of its files is damaged.
    """
    record = (
        read_checked(folder / RunFiles.RECORD, RunRecord, "train the run again")
        if (folder / RunFiles.RECORD).is_file()
        else {}
    )
    card = (
        read_checked(folder / RunFiles.CARD, ModelCard, "train the run again")
        if (folder / RunFiles.CARD).is_file()
        else {}
    )

    weights = folder / RunFiles.WEIGHTS
    size = card.get("imgsz")
    names = (card.get("label_space") or {}).get("names")
    skipped = (record.get("skipped") or {}).get("samples")

    return Entry(
        name=label,
        kind="run",
        source=str(folder),
        size_px=(int(size[0]), int(size[1])) if isinstance(size, list) and len(size) == 2 else None,
        classes=None if names is None else tuple(str(name) for name in names),
        size_bytes=weights.stat().st_size if weights.is_file() else None,
        params=record.get("params"),
        accuracy=_accuracy(folder, record),
        problems=tuple(_problems(folder, record)),
        notes=(f"{skipped} samples skipped in training",) if skipped else (),
    )


def _problems(folder: Path, record: dict[str, Any]) -> list[str]:
    if not record:
        return [f"{folder} has no {RunFiles.RECORD}: the run has not ended; go on with --resume"]
    if record.get("finished") is False:
        return [f"{folder / RunFiles.RECORD} says that the run has not finished; go on with --resume"]
    if (record.get("eval") or {}).get("miou") is None:
        return [f"{folder / RunFiles.RECORD} holds no evaluation"]
    fingerprints = (record.get("data") or {}).get("fingerprints") or {}
    return [] if fingerprints.get("val") else [f"{folder / RunFiles.RECORD} does not say which data were scored"]


def _accuracy(folder: Path, record: dict[str, Any]) -> Accuracy | None:
    miou = (record.get("eval") or {}).get("miou")
    if miou is None:
        miou = _last_validation(folder)
    if miou is None:
        return None
    data = record.get("data") or {}
    fingerprint = (data.get("fingerprints") or {}).get("val")
    return Accuracy(float(miou), "data set", fingerprint, data=data.get("val"), protocol=_protocol(folder))


def _last_validation(folder: Path) -> float | None:
    lines = read_metrics(folder / RunFiles.METRICS) if (folder / RunFiles.METRICS).is_file() else []
    values = [line["miou"] for line in lines if line.get("event") == "eval" and isinstance(line.get("miou"), float)]
    return values[-1] if values else None


def _protocol(folder: Path) -> str | None:
    """The rules of the run's validation, from its recipe."""
    if not (folder / RunFiles.RECIPE).is_file():
        return None
    recipe, _ = read_yaml_file(folder / RunFiles.RECIPE)
    rules = recipe.get("eval") if isinstance(recipe, dict) else None
    if not isinstance(rules, dict):
        return None
    parts = (rules.get("protocol"), rules.get("mode"))
    return ", ".join(str(part) for part in parts if part) or None
