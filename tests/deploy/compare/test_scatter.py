"""The plot: coordinates by hand, no name outside, text that cannot break the file."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import pytest

from segkd_deploy.compare.scatter import HEIGHT_PX, WIDTH_PX, Point, scatter

SVG = "{http://www.w3.org/2000/svg}"


def draw(*points: Point) -> ElementTree.Element:
    return ElementTree.fromstring(scatter(points, title="t", x_label="p50 latency, ms", y_label="mIoU, %"))


def marks(root: ElementTree.Element) -> list[tuple[float, float]]:
    circles = [circle for circle in root.iter(f"{SVG}circle") if circle.find(f"{SVG}title") is not None]
    return [(float(circle.attrib["cx"]), float(circle.attrib["cy"])) for circle in circles]


def test_nothing_without_points() -> None:
    assert scatter([], title="t", x_label="x", y_label="y") == ""


def test_places_on_a_linear_axis() -> None:
    # Costs 10 to 20 with 8 % beyond: ticks 7.5 to 22.5; scores 60 to 70: ticks 57.5 to 72.5. Plot 62..610 by 34..368.
    root = draw(Point("a", 10, 60, "g", True), Point("b", 20, 70, "g", True))
    (ax, ay), (bx, by) = marks(root)
    assert (ax, bx) == (pytest.approx(62 + 548 * 2.5 / 15, abs=0.1), pytest.approx(62 + 548 * 12.5 / 15, abs=0.1))
    assert (ay, by) == (pytest.approx(368 - 334 * 2.5 / 15, abs=0.1), pytest.approx(368 - 334 * 12.5 / 15, abs=0.1))


def test_costs_that_differ_much_get_a_logarithmic_axis() -> None:
    root = draw(Point("a", 1, 60, "g", False), Point("b", 10, 61, "g", False), Point("c", 100, 62, "g", False))
    xs = [x for x, _ in marks(root)]
    assert xs == [pytest.approx(62), pytest.approx(62 + 274), pytest.approx(610)]
    assert "p50 latency, ms (logarithmic)" in "".join(root.itertext())


def test_the_front_is_stairs() -> None:
    root = draw(Point("a", 10, 60, "g", True), Point("b", 20, 70, "g", True), Point("c", 15, 50, "g", False))
    (line,) = root.iter(f"{SVG}polyline")
    (ax, ay), corner, (bx, by) = (tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split())
    assert corner == (bx, ay) and ax < bx and ay > by


def test_groups_have_colours_a_legend_and_fronts_of_their_own() -> None:
    root = draw(Point("a", 10, 60, "[a] desk", True), Point("b", 20, 70, "[b] Orin", True, valid=False))
    assert len(list(root.iter(f"{SVG}polyline"))) == 0
    fills = [circle.attrib["fill"] for circle in root.iter(f"{SVG}circle")][:2]
    assert fills[0] != "#fff" and fills[1] == "#fff"
    assert {"[a] desk", "[b] Orin"} <= set(root.itertext())
    assert any("not valid" in text for text in root.itertext())


def test_names_of_a_crowd_stay_apart_and_inside() -> None:
    points = [Point(f"variant{index}", 10 + 0.01 * index, 60 + 0.01 * index, "g", index == 0) for index in range(40)]
    names = [
        text for text in draw(*points, Point("far", 20, 70, "g", True)).iter(f"{SVG}text") if "class" in text.attrib
    ]
    places = [(float(t.attrib["x"]), float(t.attrib["y"]), t.text) for t in names if t.attrib["class"] == "name"]
    assert "variant0" in {text for _, _, text in places}  # those on the front come first
    assert all(0 < x < WIDTH_PX and 0 < y < HEIGHT_PX for x, y, _ in places)
    crowd = sorted(y for x, y, text in places if text != "far")
    assert len(crowd) > 1 and min(b - a for a, b in itertools.pairwise(crowd)) > 12


def test_a_long_name_at_the_edge_goes_to_the_left() -> None:
    root = draw(Point("a", 10, 60, "g", False), Point("a name of more than twenty letters", 20, 70, "g", False))
    (place,) = [float(text.attrib["x"]) for text in root.iter(f"{SVG}text") if (text.text or "").startswith("a name")]
    assert place + 6.2 * 33 < marks(root)[1][0]


def test_one_point_and_equal_points_are_drawn() -> None:
    assert len(marks(draw(Point("a", 5, 60, "g", True)))) == 1
    assert len(marks(draw(Point("a", 5, 0, "g", True), Point("b", 5, 0, "g", True)))) == 2


def test_names_are_escaped() -> None:
    text = scatter([Point("<a&b>", 1, 2, "g", True)], title='"<t>"', x_label="x", y_label="y")
    assert "<a&b>" not in text and "&lt;a&amp;b&gt;" in text
    assert not re.search("<t>", text)
    ElementTree.fromstring(text)
