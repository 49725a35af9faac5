"""What lines the street: buildings, trees and walls, and fences before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segkd.data.street_scenes.canvas import CLOUDY, FINE, ROUGH, STRIPED, Canvas, Point
from segkd.data.street_scenes.colours import grey, hsv
from segkd.data.street_scenes.street import SIDES, Street

_CROWN_CORNERS = 28
_FENCE_BARS = 14


@dataclass(frozen=True)
class Plot:
    """The box beside the street that a building, a tree or a wall fills; pixels, and its depth 0..1."""

    left: float
    top: float
    right: float
    bottom: float
    depth: float


def line_street(canvas: Canvas, street: Street) -> None:
    """Paint 4 to 8 buildings, trees or walls on each side, far to near."""
    for side in SIDES:
        count = canvas.rng.integers(4, 9)
        for depth in np.sort(canvas.rng.uniform(0.03, 0.95, count)).tolist():
            plot = _plot(canvas, street, side, depth)
            kind = canvas.uniform()
            if kind < 0.5:
                _draw_building(canvas, plot)
            elif kind < 0.8:
                _draw_tree(canvas, plot)
            else:
                _draw_wall(canvas, street, plot)


def _plot(canvas: Canvas, street: Street, side: int, depth: float) -> Plot:
    uniform = canvas.uniform
    inner = street.x_at(street.road_edge(side) + side * street.sidewalk_px * uniform(0.9, 1.6), depth)
    outer = inner + side * street.width_px * uniform(0.06, 0.3) * (depth + 0.25)
    bottom = street.y_at(depth * uniform(0.75, 1.0))
    top = street.horizon_y - street.height_px * uniform(0.1, 0.75) * (depth + 0.15)
    return Plot(min(inner, outer), top, max(inner, outer), bottom, depth)


def _draw_building(canvas: Canvas, plot: Plot) -> None:
    rng, uniform = canvas.rng, canvas.uniform
    look = rng.integers(3)
    brick = hsv(rng, (5, 25), (20, 140), (80, 200))
    plaster = grey(rng, 70, 210, 15)
    glass = hsv(rng, (90, 125), (10, 70), (70, 190))
    texture = int(rng.integers(ROUGH, CLOUDY + 1))
    facade = canvas.part("building", (brick, plaster, glass)[look], 7, texture)
    canvas.rectangle(plot.left, plot.top, plot.right, plot.bottom, facade)

    pane = grey(rng, 30, 100, 10) if uniform() < 0.7 else grey(rng, 170, 230, 15)
    window = canvas.part("building", pane, 4, FINE)
    spacing = max(4, (8 + 14 * plot.depth) * canvas.scale)
    window_width, window_height = spacing * uniform(0.3, 0.6), spacing * uniform(0.35, 0.8)
    floor_height = spacing * uniform(1.0, 1.4)
    columns = np.arange(plot.left + spacing * 0.3, plot.right - window_width, spacing).tolist()
    for y in np.arange(plot.top + spacing * 0.4, plot.bottom - spacing * 0.6, floor_height).tolist():
        for x in columns:
            canvas.rectangle(x, y, x + window_width, y + window_height, window)


def _draw_tree(canvas: Canvas, plot: Plot) -> None:
    """A ragged crown, in 70 % of cases on a trunk, in 40 % with a bush at its foot."""
    rng, uniform = canvas.rng, canvas.uniform
    leaves = canvas.part("vegetation", hsv(rng, (28, 65), (50, 170), (35, 130)), 26, ROUGH)
    middle, radius_x = (plot.left + plot.right) / 2, (plot.right - plot.left) / 2 + 3
    radius_y = (plot.bottom - plot.top) * uniform(0.25, 0.45)
    if uniform() < 0.7:
        bark = canvas.part("vegetation", hsv(rng, (8, 20), (50, 120), (30, 90)), 10, CLOUDY)
        trunk_px = (2 + 6 * plot.depth) * canvas.scale
        canvas.line((middle, plot.bottom), (middle, plot.top + radius_y), trunk_px, bark)
    angles = np.linspace(0, 2 * np.pi, _CROWN_CORNERS, endpoint=False)
    ragged = uniform(0.75, 1.2, _CROWN_CORNERS)
    x, y = middle + radius_x * ragged * np.cos(angles), radius_y * ragged * np.sin(angles)
    canvas.polygon(np.stack([x, plot.top + radius_y + y], axis=1), leaves)
    if uniform() < 0.4:
        canvas.polygon(np.stack([x, plot.bottom - radius_y * 0.2 + y * 0.4], axis=1), leaves)


def _draw_wall(canvas: Canvas, street: Street, plot: Plot) -> None:
    """A building's colours, but low and without windows."""
    rng, uniform = canvas.rng, canvas.uniform
    height = (plot.bottom - street.horizon_y + 4) * uniform(0.4, 0.8)
    stone = grey(rng, 70, 200, 18) if uniform() < 0.6 else hsv(rng, (5, 25), (20, 120), (80, 190))
    wall = canvas.part("wall", stone, 8, int(rng.integers(ROUGH, CLOUDY + 1)))
    canvas.rectangle(plot.left, plot.bottom - height, plot.right, plot.bottom, wall)


def draw_fences(canvas: Canvas, street: Street) -> None:
    """Paint 0 to 2 fences (1 to 3 where thin things are thickened), each along one side of the road."""
    for _ in range(int(canvas.rng.integers(0, 3)) + (canvas.thickness > 1)):
        _draw_fence(canvas, street)


def _draw_fence(canvas: Canvas, street: Street) -> None:
    """Thin bars before a filled region; both are labelled fence, as Cityscapes labels the whole area."""
    rng, uniform = canvas.rng, canvas.uniform
    side = SIDES[rng.integers(2)]
    bottom_x = street.road_edge(side) + side * street.sidewalk_px * uniform(0.0, 1.2)
    far, near = np.sort(uniform(0.1, 0.95, 2)).tolist()
    height_px = uniform(0.12, 0.22) * street.height_px * canvas.thickness

    def foot(depth: float) -> Point:
        return street.x_at(bottom_x, depth), street.y_at(depth)

    def head(depth: float) -> Point:
        return street.x_at(bottom_x, depth), street.y_at(depth) - height_px * depth

    backing = canvas.part("fence", grey(rng, 60, 180, 25), 16, STRIPED)
    canvas.polygon([foot(far), foot(near), head(near), head(far)], backing)
    bar = canvas.part("fence", grey(rng, 40, 220, 20), 4, FINE)
    for depth in np.linspace(far, near, _FENCE_BARS).tolist():
        canvas.line(foot(depth), head(depth), 1 + depth * canvas.scale, bar)
    canvas.line(head(far), head(near), 1 + canvas.scale, bar)
