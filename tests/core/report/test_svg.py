from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from segkd.report.content import Chart, Series
from segkd.report.svg import HEIGHT_PX, WIDTH_PX, histogram, line_chart


def elements(svg: str, tag: str, css: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter(tag) if css in e.get("class", "").split()]


def chart(*series: Series) -> Chart:
    return Chart("title", "iteration", "loss & more", list(series))


def test_lines_lie_where_their_values_are() -> None:
    svg = line_chart(chart(Series("a", [(0, 0), (50, 5), (100, 10)])))
    (line,) = elements(svg, "polyline", "line")
    (x0, y0), (x1, y1), (x2, y2) = (tuple(map(float, point.split(","))) for point in line.get("points", "").split())
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11)
    assert y2 < y1 < y0
    assert 0 < x0 < x2 <= WIDTH_PX
    assert 0 < y2 < y0 < HEIGHT_PX


def test_text_is_escaped_and_labels_are_there() -> None:
    svg = line_chart(chart(Series("<b>", [(0, 1), (1, 2)])))
    texts = [e.text for e in ElementTree.fromstring(svg).iter("text")]
    assert "loss & more" in texts
    assert "iteration" in texts
    assert "<b>" not in svg


def test_few_points_are_marked_with_their_values() -> None:
    svg = line_chart(chart(Series("a", [(10, 0.25), (20, 0.5)])))
    titles = [dot[0].text for dot in elements(svg, "circle", "dot")]
    assert titles == ["a: 0.25 at 10", "a: 0.5 at 20"]


def test_long_series_are_averaged() -> None:
    svg = line_chart(chart(Series("a", [(step, 1 + step % 2) for step in range(10_000)])))
    (line,) = elements(svg, "polyline", "line")
    points = line.get("points", "").split()
    assert len(points) <= 400
    assert not elements(svg, "circle", "dot")
    heights = {point.split(",")[1] for point in points}
    assert len(heights) <= 2  # every bucket holds as many ones as twos, but for an odd last one


def test_what_is_not_finite_is_left_out() -> None:
    svg = line_chart(chart(Series("a", [(0, 1), (1, math.nan), (2, math.inf), (3, 2)])))
    assert len(elements(svg, "circle", "dot")) == 2
    assert "nan" not in svg
    assert line_chart(chart(Series("a", [(0, math.nan)]), Series("b", []))) == ""


@pytest.mark.parametrize("points", [[(5, 3)], [(0, 2), (10, 2)], [(0, 0), (1, 0)], [(0, -1e-9), (1, 1e9)]])
def test_flat_single_and_extreme_series_are_drawn(points: list[tuple[float, float]]) -> None:
    svg = line_chart(chart(Series("a", points)))
    assert len(elements(svg, "circle", "dot")) == len(points)
    assert elements(svg, "text", "tick")


def test_histogram_shows_every_value_once() -> None:
    values = [1.0] * 5 + [2.0] * 3 + [3.0]
    svg = histogram(values, {"p50": 1.0, "p99": 3.0}, "latency in ms")
    counts = [int((bar[0].text or "").split()[0]) for bar in elements(svg, "rect", "bar")]
    assert counts == [5, 3, 1]
    names = [e.text for e in elements(svg, "text", "marker-name")]
    assert names == ["p50 1", "p99 3"]


def test_histogram_says_what_lies_beyond_its_axis() -> None:
    svg = histogram([1.0, 1.1, 1.2, 50.0], {"p50": 1.1, "p90": 1.2}, "latency in ms")
    counts = [int((bar[0].text or "").split()[0]) for bar in elements(svg, "rect", "bar")]
    assert sum(counts) == 3
    assert "1 of 4 beyond" in svg
    assert "up to 50" in svg


def test_histogram_of_equal_values_and_of_nothing() -> None:
    assert elements(histogram([2.0, 2.0, 2.0], {"p50": 2.0}, "ms"), "rect", "bar")
    assert histogram([], {}, "ms") == ""
    assert histogram([1.0, math.nan], {}, "ms") == ""
