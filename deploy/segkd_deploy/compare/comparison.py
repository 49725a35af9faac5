"""Rows that may be compared, and what beats what."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd_deploy.compare.collect import collect
from segkd_deploy.compare.conflicts import Conflict, bases_of, basis_of, conditions_of, find_conflicts
from segkd_deploy.compare.entry import Entry

SCHEMA = 1
# Cost -> its label with the unit.
COSTS: dict[str, str] = {"latency": "p50 latency, ms", "energy": "energy, mJ per frame", "size": "size, MB"}
# Costs that depend on the device and on how was measured.
_MEASURED = ("latency", "energy")


@dataclass(frozen=True)
class Comparison:
    """Everything that a table, a plot or JSON shows.

    Attributes:
        entries: the rows.
        conflicts: what makes them incomparable; empty unless forced.
        conditions: row -> letter of the condition that its latency was measured under.
        legend: letter -> condition in words.
        bases: row -> number of what its mIoU was measured on.
        basis_legend: number -> that in words.
        fronts: cost -> rows that nothing comparable beats; a row without anything comparable is on none.
    """

    entries: list[Entry]
    conflicts: list[Conflict]
    conditions: dict[str, str]
    legend: dict[str, str]
    bases: dict[str, str]
    basis_legend: dict[str, str]
    fronts: dict[str, list[str]]

    def group(self, entry: Entry, cost: str) -> str:
        """What rows must share to be compared by a cost: the basis of their mIoU, for measured costs the condition."""
        condition = self.conditions.get(entry.name, "") if cost in _MEASURED else ""
        return f"{self.bases.get(entry.name, '')}|{condition}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema": SCHEMA,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "comparable": not self.conflicts,
            "conflicts": [asdict(conflict) for conflict in self.conflicts],
            "conditions": self.legend,
            "accuracy_bases": self.basis_legend,
            "pareto": self.fronts,
            "rows": [
                {
                    **asdict(entry),
                    "condition": self.conditions.get(entry.name),
                    "accuracy_basis": self.bases.get(entry.name),
                }
                for entry in self.entries
            ],
        }


def compare(paths: Sequence[Path], variants: Sequence[str] = (), *, force: bool = False) -> Comparison:
    """Put runs, variants and devices side by side.

    Args:
        paths: run folders, artifact folders, folders of results, single measurements, or folders of these.
        variants: only these variants; all if empty.
        force: go on if rows are not comparable; the conflicts are in the result.

    Raises:
        SegkdError: for fewer than two rows, for a path without any, or, unless forced, if rows are not comparable,
            naming both sides of each difference.
        GateFailed: if a file of an artifact has changed since the export.
    """
    entries = collect(paths, variants)
    if len(entries) < 2:
        raise SegkdError(f"a comparison needs two rows, found {len(entries)}: {', '.join(e.name for e in entries)}")
    conflicts = find_conflicts(entries)
    if conflicts and not force:
        reasons = "; ".join(conflict.text for conflict in conflicts)
        raise SegkdError(f"not comparable: {reasons}. --force shows them all the same")
    letters, numbers = conditions_of(entries), bases_of(entries)
    result = Comparison(
        entries,
        conflicts,
        conditions={e.name: letters[e.measured.condition] for e in entries if e.measured is not None},
        legend={letter: condition.words() for condition, letter in letters.items()},
        bases={e.name: numbers[basis_of(e)] for e in entries if e.accuracy is not None},
        basis_legend={numbers[basis_of(e)]: e.accuracy.words() for e in reversed(entries) if e.accuracy is not None},
        fronts={},
    )
    result.fronts.update({cost: front for cost in COSTS if (front := _front(result, cost))})
    return result


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The points that no other dominates.

    A point dominates another if it costs no more and scores no less, and differs in one of both; equal points dominate
    each other not, so all of them stay.

    Args:
        points: name -> (cost, score); a lower cost and a higher score are better.

    Returns:
        Names in rising cost, those of equal cost by name.
    """
    ordered = sorted(points, key=lambda name: (points[name][0], -points[name][1], name))
    front: list[str] = []
    best: tuple[float, float] | None = None
    for name in ordered:
        cost, score = points[name]
        if best is None or score > best[1] or (cost, score) == best:
            front.append(name)
            best = (cost, score)
    return front


def _front(comparison: Comparison, cost: str) -> list[str]:
    """The rows on the front of their own group, in the order of the rows; invalid and lone ones are on none."""
    groups: dict[str, dict[str, tuple[float, float]]] = {}
    for entry in comparison.entries:
        value = entry.value(cost)
        if value is not None and entry.accuracy is not None and not entry.invalid:
            groups.setdefault(comparison.group(entry, cost), {})[entry.name] = (value, entry.accuracy.miou)
    best = {name for group in groups.values() if len(group) > 1 for name in pareto_front(group)}
    return [entry.name for entry in comparison.entries if entry.name in best]
