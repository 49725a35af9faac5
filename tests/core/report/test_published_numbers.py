from __future__ import annotations

from typing import Any

from segkd.recipe.published import experiment
from segkd.report.content import ReportData
from segkd.report.html import render_report
from segkd.report.published_numbers import published_tables
from segkd.report.run_files import RunContent

NAME = "bpkd-hrnet-w18s-cityscapes"


def run(name: str, model: str, methods: list[Any], miou: float | None = 0.5) -> RunContent:
    published = experiment(NAME).to_dict()
    record = {"model": model, "methods": methods, "eval": {"miou": miou}, "published": published}
    return RunContent(name, record, [], None)


def test_each_run_stands_beside_its_row() -> None:
    runs = [
        run("t", "hrnet-w48", [], 0.8),
        run("s", "hrnet-w18s", [], 0.7),
        run("a", "hrnet-w18s", [{"cwd": {"temperature": 4.0}}], 0.75),
        run("b", "hrnet-w18s", ["cwd:2"], 0.76),
        run("both", "hrnet-w18s", ["cwd+bpkd"]),
        run("two", "hrnet-w18s", ["cwd", "bpkd"]),
        run("other", "pspnet-r18", ["bpkd"]),
        run("unfinished", "hrnet-w18s", ["skds"], None),
    ]
    (table,) = published_tables(runs)
    rows = {row.name: row for row in table.rows}
    assert rows["teacher hrnet-w48"].miou == 80.65
    assert rows["student hrnet-w18s"].miou == 75.31
    assert {name: row.ours for name, row in rows.items() if row.ours} == {
        "teacher hrnet-w48": {"t": 80.0},
        "student hrnet-w18s": {"s": 70.0},
        "cwd": {"a": 75.0, "b": 76.0},
    }
    assert rows["bpkd"].miou == 78.58
    assert table.protocol.startswith("cityscapes val; ")


def test_no_experiment_no_table() -> None:
    assert published_tables([RunContent("a", {"published": None}, [], None), RunContent("b", {}, [], None)]) == []


def test_the_page_shows_it() -> None:
    page = render_report(ReportData("Run", published=published_tables([run("mine", "hrnet-w18s", ["bpkd"], 0.771)])))
    assert "Published numbers" in page
    assert "78.58" in page
    assert "77.10 (mine)" in page
