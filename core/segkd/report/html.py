"""The page: content in, one HTML file out, without scripts, fonts or any other file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from segkd.errors import import_extra
from segkd.files import write_atomic
from segkd.report.content import RGB, ClassTable, Latency, Pictures, ReportData
from segkd.report.pictures import IGNORED, IGNORED_COLOUR, classes_present, data_uri
from segkd.report.svg import histogram, line_chart

_FOLDER = Path(__file__).parent


def write_report(out: Path, report: ReportData) -> Path:
    """Write a report as one self-contained file, in one step.

    Raises:
        MissingExtra: if jinja2 is not installed.
        SegkdError: for pictures that are none.
    """
    write_atomic(out, render_report(report))
    return out


def render_report(report: ReportData) -> str:
    """A report as HTML text.

    Raises:
        MissingExtra: if jinja2 is not installed.
        SegkdError: for pictures that are none.
    """
    jinja2 = import_extra("jinja2", "report")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(percent=percent, points=points, count=count, duration=duration)
    template = environment.from_string((_FOLDER / "report.html.j2").read_text(encoding="utf-8"))
    charts = [(chart, line_chart(chart)) for chart in report.charts]
    text: str = template.render(
        report=report,
        style=(_FOLDER / "report.css").read_text(encoding="utf-8"),
        best=_best([headline.miou for headline in report.headlines]),
        charts=[(chart, svg) for chart, svg in charts if svg],
        pictures=_pictures(report.pictures),
        classes=_class_rows(report.classes),
        latency=report.latency,
        latency_svg=_latency_svg(report.latency),
    )
    return text


def percent(value: float | None, digits: int = 1) -> str:
    """0.412 as 41.2; "-" for nothing."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.{digits}f}"


def points(value: float | None, digits: int = 1) -> str:
    """A difference of shares in points with its sign: 0.041 as +4.1."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:+.{digits}f}"


def count(value: float | None) -> str:
    """12345678 as 12.35 M; small numbers as they are."""
    if value is None:
        return "-"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.4g} {unit}"
    return f"{value:g}"


def duration(seconds: float | None) -> str:
    """Seconds as people say them: 8.2 s, 3 min 05 s, 2 h 10 min."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _best(values: list[float | None]) -> set[int]:
    """Positions of the largest value, if not all are equal."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    if len(set(known)) < 2:
        return set()
    return {index for index, value in enumerate(values) if value == max(known)}


def _pictures(pictures: Pictures | None) -> dict[str, Any] | None:
    if pictures is None or not pictures.rows:
        return None
    rows = [
        {
            "name": row.name,
            "panels": [
                {
                    "caption": panel.caption,
                    "uri": data_uri(panel.pixels, pictures.palette),
                    "height": panel.pixels.shape[0],
                    "width": panel.pixels.shape[1],
                    "labels": panel.pixels.ndim == 2,
                }
                for panel in row.panels
            ],
        }
        for row in pictures.rows
    ]

    # The legend names what the label maps hold.
    maps = [panel.pixels for row in pictures.rows for panel in row.panels if panel.pixels.ndim == 2]
    present = classes_present(maps, len(pictures.names))
    legend = [(pictures.names[index], _css(pictures.palette[index])) for index in present]
    if any((labels == IGNORED).any() for labels in maps):
        legend.append(("ignored", _css(IGNORED_COLOUR)))
    return {"rows": rows, "legend": legend, "columns": max(len(row.panels) for row in pictures.rows)}


def _css(colour: RGB) -> str:
    return "rgb({},{},{})".format(*colour)


def _class_rows(table: ClassTable | None) -> dict[str, Any] | None:
    """Rows of cells (value, difference to the baseline, whether it is the best)."""
    if table is None or not table.runs:
        return None
    rows = []
    base = table.runs.get(table.baseline) if table.baseline else None
    for index, name in enumerate(table.names):
        values = [run[index] for run in table.runs.values()]
        best = _best(values)
        cells = []
        for position, (run, value) in enumerate(zip(table.runs, values, strict=True)):
            reference = base[index] if base is not None and run != table.baseline else None
            change = None if value is None or reference is None else value - reference
            known = value is not None and not math.isnan(value)
            cells.append({"value": value, "change": change, "best": position in best, "known": known})
        rows.append({"name": name, "cells": cells})
    return {"runs": list(table.runs), "baseline": table.baseline if base is not None else None, "rows": rows}


def _latency_svg(latency: Latency | None) -> str:
    if latency is None:
        return ""
    named = {"p50": latency.p50_ms, "p90": latency.p90_ms, "p99": latency.p99_ms}
    markers = {name: value for name, value in named.items() if value is not None}
    return histogram(latency.values_ms, markers, "latency in ms")
