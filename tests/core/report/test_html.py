from __future__ import annotations

import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from segkd.errors import MissingExtra
from segkd.report.content import (
    Chart,
    ClassTable,
    Gate,
    Headline,
    Latency,
    Panel,
    ParityRow,
    PictureRow,
    Pictures,
    ReportData,
    Series,
    Step,
)
from segkd.report.html import count, duration, percent, points, render_report, write_report

SECTIONS = ["networks", "pictures", "curves", "classes", "parity", "latency", "gates", "steps"]
VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Reads a page: its sections, its text, the targets it refers to; fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sections: list[str] = []
        self.targets: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        if tag == "section":
            self.sections.append(values["id"] or "")
        self.targets += [values[key] or "" for key in ("src", "href") if key in values]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style" and data.strip():
            self.words.append(" ".join(data.split()))


def full() -> ReportData:
    image, labels = np.zeros((8, 16, 3), np.uint8), np.ones((8, 16), np.uint8)
    return ReportData(
        title="A <title> & more",
        subtitle="today",
        verdict="It helped.",
        headlines=[Headline("student", 0.5, 27_119, 17.25), Headline("teacher", 0.625, None, None)],
        pictures=Pictures(
            [PictureRow("frame 1", [Panel("frame", image), Panel("truth", labels)])], ["road", "sky"], [(1, 2, 3)] * 2
        ),
        charts=[Chart("Loss", "iteration", "loss", [Series("a", [(0, 1), (1, 2)]), Series("b", [(0, 2), (1, 1)])])],
        classes=ClassTable(["road", "sky"], {"student": [0.5, None], "teacher": [0.75, math.nan]}, "student"),
        latency=Latency(1.25, 1.5, 2.0, [1.0, 1.25, 1.5, 2.0], {"device": "a board"}, ["few calls"]),
        parity=[ParityRow("fp32", 0.99999, 12, 2, 10, 0.5, 0.499, 8)],
        gates=[Gate("agreement", ">= 0.9999", "0.99999", True), Gate("size", "<= 1", "2", False)],
        steps=[Step("segkd train --lr '1e-3'", 63.0)],
    )


def test_every_section_appears_once_and_in_order() -> None:
    assert Page(render_report(full())).sections == SECTIONS


def test_a_report_without_content_has_no_section() -> None:
    page = Page(render_report(ReportData("Nothing")))
    assert page.sections == []
    assert "Nothing" in page.words


def test_the_page_needs_no_other_file_and_runs_no_script() -> None:
    text = render_report(full())
    page = Page(text)
    assert page.targets
    assert all(target.startswith("data:image/") for target in page.targets)
    assert not {"script", "link", "iframe"} & page.tags
    assert not re.search(r"https?:|@import|url\(", text)


def test_numbers_of_the_page() -> None:
    words = Page(render_report(full())).words
    for word in (
        "50.0",
        "62.5",
        "27.12 k parameters",
        "17.2 s training",
        "75.0",
        "+25.0",
        "99.9990",
        "2 / 10",
        "-0.100",
    ):
        assert word in words, word
    assert words.count("-") == 2  # the class that does not occur, once per network
    assert [word for word in words if word in ("passed", "failed")] == ["passed", "failed"]
    assert "1 min 03 s" in words
    assert "Note: few calls." in words


def test_text_is_escaped() -> None:
    text = render_report(full())
    assert "A &lt;title&gt; &amp; more" in text
    assert "segkd train --lr '1e-3'" in Page(text).words


def test_the_best_of_a_row_is_marked() -> None:
    text = render_report(full())
    best = re.findall(r'<td class="number bar best"[^>]*>([\d.]+)', text)
    assert best == ["75.0"]
    equal = ReportData("x", classes=ClassTable(["road"], {"a": [0.5], "b": [0.5]}))
    assert 'class="number bar best"' not in render_report(equal)


def test_an_invalid_measurement_is_called_so() -> None:
    assert "invalid" not in render_report(ReportData("x", latency=Latency(1.0)))
    assert "This measurement is invalid" in render_report(ReportData("x", latency=Latency(1.0, valid=False)))


def test_write_report(tmp_path: Path) -> None:
    out = write_report(tmp_path / "a" / "report.html", full())
    assert out.read_text(encoding="utf-8") == render_report(full())
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


def test_without_jinja2_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"pip install .*\[report\]'"):
        write_report(tmp_path / "report.html", ReportData("x"))
    assert list(tmp_path.iterdir()) == []


def test_formats() -> None:
    assert [percent(0.4117), percent(None), percent(math.nan), percent(1.0, 0)] == ["41.2", "-", "-", "100"]
    assert [points(0.0412), points(-0.05), points(None)] == ["+4.1", "-5.0", "-"]
    assert [count(950), count(27_119), count(12_641_267), count(None)] == ["950", "27.12 k", "12.64 M", "-"]
    assert [duration(8.24), duration(59.99), duration(185), duration(7800), duration(None)] == [
        "8.2 s",
        "60.0 s",
        "3 min 05 s",
        "2 h 10 min",
        "-",
    ]
