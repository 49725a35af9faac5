from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segkd.errors import SegkdError
from segkd.report.run_files import charts, class_table, headline, read_metrics, read_run_files

METRICS = [
    {"step": 10, "event": "train", "task/ce": 2.0, "cwd/logits": 1.0, "lr": 0.1},
    {"step": 20, "event": "train", "task/ce": 1.0, "cwd/logits": 0.5},
    {"step": 20, "event": "eval", "miou": 0.25},
    {"step": 40, "event": "eval", "miou": 0.5},
]


def write_run(folder: Path, record: dict[str, Any] | None, metrics: list[dict[str, Any]] | None = None) -> Path:
    folder.mkdir(parents=True)
    if record is not None:
        (folder / "run.json").write_text(json.dumps(record))
    if metrics is not None:
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics))
    return folder


def record(**per_class: float | None) -> dict[str, Any]:
    return {"params": 100, "seconds": {"train": 5.5, "total": 7.0}, "eval": {"miou": 0.6, "per_class": per_class}}


def test_a_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", record(road=0.5), METRICS)
    (folder / "model.json").write_text(
        json.dumps({"label_space": {"names": ["road"], "palette": [[1, 2, 3]], "ignore": 255}})
    )
    run = read_run_files(folder)
    assert run.name == "a"
    assert run.labels is not None
    assert run.labels.palette == ((1, 2, 3),)
    row = headline(run)
    assert (row.name, row.miou, row.params, row.seconds) == ("a", 0.6, 100, 5.5)


def test_a_run_that_was_not_evaluated_shows_its_last_validation(tmp_path: Path) -> None:
    assert headline(read_run_files(write_run(tmp_path / "a", None, METRICS), "mine")).miou == 0.5
    assert headline(read_run_files(write_run(tmp_path / "b", {}))).miou is None


def test_charts(tmp_path: Path) -> None:
    run = read_run_files(write_run(tmp_path / "a", None, METRICS))
    validation, loss, terms = charts([run])
    assert validation.series[0].points == [(20, 25.0), (40, 50.0)]
    assert loss.series[0].points == [(10, 3.0), (20, 1.5)]
    assert {series.name: series.points for series in terms.series} == {
        "task/ce": [(10, 2.0), (20, 1.0)],
        "cwd/logits": [(10, 1.0), (20, 0.5)],
    }
    assert terms.title == "Terms of the loss, a"


def test_a_written_total_wins_over_the_sum_and_a_single_term_has_no_chart(tmp_path: Path) -> None:
    lines = [{"step": 1, "event": "train", "task/ce": 2.0, "loss": 1.5}]
    (loss,) = charts([read_run_files(write_run(tmp_path / "a", None, lines))])
    assert (loss.title, loss.series[0].points) == ("Training loss", [(1, 1.5)])


def test_class_table(tmp_path: Path) -> None:
    runs = [
        read_run_files(write_run(tmp_path / "a", record(road=0.5, sky=None))),
        read_run_files(write_run(tmp_path / "b", record(road=0.6, sky=0.1))),
        read_run_files(write_run(tmp_path / "c", {})),
    ]
    table = class_table(runs, "a")
    assert table is not None
    assert (table.names, table.runs, table.baseline) == (["road", "sky"], {"a": [0.5, None], "b": [0.6, 0.1]}, "a")
    assert class_table(runs, "z").baseline is None  # type: ignore[union-attr]
    assert class_table(runs[2:], None) is None


def test_runs_with_other_classes_are_not_compared(tmp_path: Path) -> None:
    runs = [
        read_run_files(write_run(tmp_path / "a", record(road=0.5))),
        read_run_files(write_run(tmp_path / "b", record(sky=0.5))),
    ]
    with pytest.raises(SegkdError, match="the runs a and b have different classes"):
        class_table(runs, None)


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match=r"is no run folder: it has no run\.json, metrics\.jsonl or model\.json"):
        read_run_files(tmp_path)


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n\n{"step": 2, "ev')
    assert read_metrics(path) == [{"step": 1}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"step": 1}\n{"step"\n', r"metrics\.jsonl:2: not valid JSON"),
        ("[1]\n", r":1: expected an object with a whole"),
    ],
)
def test_damaged_metrics_have_their_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(SegkdError, match=message):
        read_metrics(tmp_path / "metrics.jsonl")


def test_a_damaged_model_card(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", {})
    (folder / "model.json").write_text("{}")
    with pytest.raises(SegkdError, match=r"model\.json: no valid label space"):
        read_run_files(folder)
