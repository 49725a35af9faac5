"""A comparison as a table, Markdown, a page and plots."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from pathlib import Path

from segkd.errors import SegkdError
from segkd.files import write_atomic, write_json
from segkd.files.markdown import escape_markdown
from segkd_deploy.compare.comparison import COSTS, Comparison
from segkd_deploy.compare.entry import Entry
from segkd_deploy.compare.scatter import Point, scatter

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#222;"
    "background:#fff}table{border-collapse:collapse;font-size:13px}td,th{padding:4px 10px;"
    "border-bottom:1px solid #ddd;text-align:right}td:first-child,th:first-child{text-align:left}svg{max-width:760px}"
)

Cell = Callable[[Comparison, Entry], str]


def table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Header and rows; columns in which no row has a value are left out.

    A letter behind a latency or energy says under which condition it was measured, a number behind an mIoU on what;
    both only if there are several. ``!`` behind a name: the row must not be used.
    """
    cells = [[cell(comparison, entry) for cell in _COLUMNS.values()] for entry in comparison.entries]
    kept = [index for index in range(len(_COLUMNS)) if index == 0 or any(row[index] != "-" for row in cells)]
    header = list(_COLUMNS)
    return [header[index] for index in kept], [[row[index] for index in kept] for row in cells]


def footnotes(comparison: Comparison) -> list[str]:
    """What the marks of the table mean, what is not comparable, and the notes of the rows."""
    bases = sorted(comparison.basis_legend.items())
    lines = [f"mIoU {'of' if len(bases) == 1 else f'[{number}]:'} {words}" for number, words in bases]
    single = len(comparison.legend) == 1
    for letter, words in comparison.legend.items():
        lines.append(f"measured on {words}" if single else f"[{letter}] {words}")
    if not single and comparison.legend:
        lines.append("Latencies and energies with different letters are not comparable; each letter has its own front.")
    lines += [f"NOT COMPARABLE: {conflict.text}" for conflict in comparison.conflicts]
    lines += [f"{entry.name}: {note}" for entry in comparison.entries for note in entry.notes]
    return lines


def plots(comparison: Comparison) -> dict[str, str]:
    """Cost -> SVG, for the costs in which scored rows differ."""
    found = {}
    for cost, label in COSTS.items():
        points = _points(comparison, cost)
        if len({point.cost for point in points}) > 1:
            title = f"mIoU against {label.split(',')[0]}"
            found[cost] = scatter(points, title=title, x_label=label, y_label="mIoU, %")
    return found


def write_comparison(out: Path, comparison: Comparison) -> list[Path]:
    """Write ``compare.json``, ``compare.md``, ``compare.html`` and ``compare-COST.svg``.

    Raises:
        SegkdError: if they cannot be written there.
    """
    drawn = plots(comparison)
    files = {f"compare-{cost}.svg": svg for cost, svg in drawn.items()}
    files["compare.md"] = _markdown(comparison, drawn)
    files["compare.html"] = _page(comparison, drawn)
    try:
        for name, content in files.items():
            write_atomic(out / name, content)
        write_json(out / "compare.json", comparison.to_dict())
    except OSError as error:
        raise SegkdError(f"{out}: cannot be written ({error.strerror}); name another folder with --out") from error
    return [out / name for name in (*files, "compare.json")]


def _markdown(comparison: Comparison, drawn: dict[str, str]) -> str:
    header, rows = table(comparison)
    lines = ["# Comparison", "", _pipes(header), "|".join(["", "---", *["---:"] * (len(header) - 1), ""])]
    lines += [_pipes(row) for row in rows]
    lines += ["", *(f"- {_escaped(line)}" for line in footnotes(comparison)), ""]
    for cost in drawn:
        lines += [f"![mIoU against {cost}](compare-{cost}.svg)", ""]
    return "\n".join(lines)


def _page(comparison: Comparison, drawn: dict[str, str]) -> str:
    header, rows = table(comparison)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    notes = "".join(f"<li>{escape(line)}</li>" for line in footnotes(comparison))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Comparison</title><style>{_STYLE}</style>'
        f"<h1>Comparison</h1><table><tr>{head}</tr>{body}</table><ul>{notes}</ul>{''.join(drawn.values())}</html>\n"
    )


def _pipes(cells: list[str]) -> str:
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    # A backslash reads better in a terminal, and is enough inside tables.
    return escape_markdown(text).replace("&#124;", "\\|")


def _points(comparison: Comparison, cost: str) -> list[Point]:
    front = comparison.fronts.get(cost, [])
    points = []
    for entry in comparison.entries:
        value = entry.value(cost)
        if value is None or entry.accuracy is None or not math.isfinite(entry.accuracy.miou):
            continue
        score, on_front = 100 * entry.accuracy.miou, entry.name in front
        points.append(
            Point(entry.name, value, score, _group_words(comparison, entry, cost), on_front, not entry.invalid)
        )
    return points


def _group_words(comparison: Comparison, entry: Entry, cost: str) -> str:
    number, letter = comparison.group(entry, cost).split("|")
    parts = []
    if letter:
        device = entry.measured.condition.device if entry.measured is not None else None
        parts.append(f"[{letter}] {device or 'unknown device'}")
    if len(comparison.basis_legend) > 1:
        parts.append(f"mIoU [{number}]")
    return " ".join(parts)


def _name(comparison: Comparison, entry: Entry) -> str:
    return entry.name + (" !" if entry.invalid else "")


def _miou(comparison: Comparison, entry: Entry) -> str:
    if entry.accuracy is None:
        return "-"
    mark = f" [{comparison.bases[entry.name]}]" if len(comparison.basis_legend) > 1 else ""
    return f"{100 * entry.accuracy.miou:.2f}{mark}"


def _size(comparison: Comparison, entry: Entry) -> str:
    return "-" if entry.size_bytes is None else f"{entry.size_bytes / 1e6:.4g}"


def _params(comparison: Comparison, entry: Entry) -> str:
    return "-" if entry.params is None else f"{entry.params / 1e6:.4g}"


def _measured(field: str, digits: int, *, mark: bool = True, scale: float = 1.0) -> Cell:
    """A column of measured numbers."""

    def cell(comparison: Comparison, entry: Entry) -> str:
        value = None if entry.measured is None else getattr(entry.measured, field)
        if value is None:
            return "-"
        letter = f" [{comparison.conditions[entry.name]}]" if mark and len(comparison.legend) > 1 else ""
        return f"{value * scale:.{digits}f}{letter}"

    return cell


def _runtime(comparison: Comparison, entry: Entry) -> str:
    return "-" if entry.measured is None else entry.measured.runtime or "-"


def _fronts(comparison: Comparison, entry: Entry) -> str:
    return ", ".join(cost for cost, front in comparison.fronts.items() if entry.name in front) or "-"


_COLUMNS: dict[str, Cell] = {
    "row": _name,
    "mIoU %": _miou,
    "size MB": _size,
    "params M": _params,
    "p50 ms": _measured("p50_ms", 3),
    "p99 ms": _measured("p99_ms", 3),
    "frames/s": _measured("throughput_fps", 1),
    "mJ/frame": _measured("energy_mj", 1),
    "net mJ/frame": _measured("net_energy_mj", 1),
    "memory MB": _measured("rss_bytes", 0, mark=False, scale=1e-6),
    "runtime": _runtime,
    "best in": _fronts,
}
