"""Published numbers of the runs' experiments, each beside the runs that repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segkd.report.content import Published, PublishedRow
from segkd.report.run_files import RunContent

STUDENT = "student"


def published_tables(runs: Sequence[RunContent]) -> list[Published]:
    """One table per experiment that a run's ``run.json`` names.

    A run stands beside the row of its method, a run of several methods beside none; one without a method is the
    ``teacher`` or the ``student``, whichever its network is.
    """
    by_experiment: dict[str, list[RunContent]] = {}
    for run in runs:
        if run.record.get("published"):
            by_experiment.setdefault(run.record["published"]["experiment"], []).append(run)
    return [_table(group) for group in by_experiment.values()]


def _table(runs: Sequence[RunContent]) -> Published:
    numbers: Mapping[str, Any] = runs[0].record["published"]
    named = {role: numbers[role] for role in ("teacher", STUDENT)} | numbers["methods"] | numbers["others"]
    rows = []
    for name, score in named.items():
        ours = {run.name: 100 * run.record["eval"]["miou"] for run in runs if _row_of(run, numbers) == name}
        label = f"{name} {score['model']}" if "model" in score else name
        rows.append(PublishedRow(label, score.get("miou"), ours))
    return Published(numbers["title"], f"{numbers['dataset']} {numbers['split']}; {numbers['protocol']}", rows)


def _row_of(run: RunContent, numbers: Mapping[str, Any]) -> str | None:
    """The row that a run repeats, None for another network, several methods or no evaluation."""
    record = run.record
    if (record.get("eval") or {}).get("miou") is None:
        return None
    methods = record.get("methods") or []
    if not methods:
        roles = (role for role in (STUDENT, "teacher") if numbers[role]["model"] == record.get("model"))
        return next(roles, None)
    name = next(iter(methods[0])) if isinstance(methods[0], dict) else str(methods[0]).partition(":")[0]
    single = len(methods) == 1 and "+" not in name
    return name if single and numbers[STUDENT]["model"] == record.get("model") else None
