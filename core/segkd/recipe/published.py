"""Numbers that papers and their repositories publish, to be shown beside ours; ``published.yaml`` is the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError, unknown_name
from segkd.files.yaml_lines import read_yaml_file
from segkd.recipe import Recipe

TABLE = Path(__file__).with_name("published.yaml")


@dataclass(frozen=True)
class Score:
    """One published row.

    Attributes:
        miou: mean intersection over union in percent.
        macc: mean accuracy in percent, where it is published.
        note: what is special about the row.
    """

    miou: float
    macc: float | None = None
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Only what is known."""
        values = {"miou": self.miou, "macc": self.macc, "note": self.note}
        return {key: value for key, value in values.items() if value is not None}


@dataclass(frozen=True)
class Experiment:
    """A pair of networks on a data set, with the numbers of one source.

    Attributes:
        name: a shipped recipe has the same name.
        source: key of the source.
        title: where the numbers stand.
        protocol: how they were measured, in words.
        dataset: name of the data set (a key of ``DATASETS``).
        split: that the numbers are of.
        teacher: model's name.
        student: model's name.
        teacher_score: of the teacher; None where it is not published.
        student_score: of the student without distillation.
        methods: method of segkd -> its score.
        others: further methods -> their scores.
    """

    name: str
    source: str
    title: str
    protocol: str
    dataset: str
    split: str
    teacher: str
    student: str
    teacher_score: Score | None = None
    student_score: Score | None = None
    methods: dict[str, Score] = field(default_factory=dict)
    others: dict[str, Score] = field(default_factory=dict)

    def scores(self) -> dict[str, float]:
        """Everything that has a published mIoU: teacher, student, methods of segkd, other methods."""
        named = {"teacher": self.teacher_score, "student": self.student_score, **self.methods, **self.others}
        return {name: score.miou for name, score in named.items() if score is not None}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; all scores are percentages."""
        scores = {"teacher": self.teacher_score, "student": self.student_score}
        return {
            "experiment": self.name,
            "title": self.title,
            "protocol": self.protocol,
            "unit": "percent",
            "dataset": self.dataset,
            "split": self.split,
            **{
                role: {"model": getattr(self, role), **(score.to_dict() if score is not None else {})}
                for role, score in scores.items()
            },
            "methods": {name: score.to_dict() for name, score in self.methods.items()},
            "others": {name: score.to_dict() for name, score in self.others.items()},
        }


@cache
def experiments() -> dict[str, Experiment]:
    """All published experiments by their name."""
    table, _ = read_yaml_file(TABLE)
    return {name: _experiment(name, values, table["sources"]) for name, values in table["experiments"].items()}


def experiment(name: str) -> Experiment:
    """One published experiment.

    Raises:
        SegkdError: for a name that the table does not have.
    """
    if name not in experiments():
        raise SegkdError(f"experiment: {unknown_name('experiment', name, experiments())}")
    return experiments()[name]


def published_numbers(recipe: Recipe) -> dict[str, Any] | None:
    """What is published for a recipe's experiment, or None if it names none.

    Raises:
        SegkdError: if it names one that the table does not have.
    """
    return experiment(recipe.experiment).to_dict() if recipe.experiment is not None else None


def table_lines(found: Experiment) -> list[str]:
    """A small table: where the numbers stand, and one line per network or method."""
    rows = [(f"teacher {found.teacher}", found.teacher_score), (f"student {found.student}", found.student_score)]
    rows += [*found.methods.items(), *found.others.items()]
    lines = [f"published for {found.name}: {found.title}", f"({found.dataset} {found.split}; {found.protocol})"]
    if all(score is None for _, score in rows):
        lines.append("no numbers are published")
    width = max(len(name) for name, _ in rows)
    for name, score in rows:
        if score is None:
            lines.append(f"  {name:<{width}}  -")
        else:
            macc = f"  mAcc {score.macc:.2f}" if score.macc is not None else ""
            note = f"  ({score.note})" if score.note is not None else ""
            lines.append(f"  {name:<{width}}  mIoU {score.miou:.2f}{macc}{note}")
    return lines


def _experiment(name: str, values: dict[str, Any], sources: dict[str, dict[str, str]]) -> Experiment:
    source = sources[values["source"]]
    teacher, student = values["teacher"], values["student"]
    return Experiment(
        name=name,
        source=values["source"],
        title=source["title"],
        protocol=values.get("protocol", source["protocol"]),
        dataset=values["dataset"],
        split=values.get("split", "val"),
        teacher=teacher["model"],
        student=student["model"],
        teacher_score=_score(teacher.get("score")),
        student_score=_score(student.get("score")),
        methods={key: _known(value) for key, value in values.get("methods", {}).items()},
        others={key: _known(value) for key, value in values.get("others", {}).items()},
    )


def _score(value: Any) -> Score | None:
    return None if value is None else _known(value)


def _known(value: Any) -> Score:
    """``76.26``, ``[76.26, 83.04]`` (mIoU, mAcc) or ``{miou: 76.26, note: ...}``."""
    if isinstance(value, dict):
        return Score(**value)
    return Score(*value) if isinstance(value, list) else Score(value)
