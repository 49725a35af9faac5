"""The street: horizon, vanishing point, and the ground that everything stands on."""

from __future__ import annotations

from dataclasses import dataclass

from segkd.data.street_scenes.canvas import CLOUDY, FINE, ROUGH, STRIPED, Canvas
from segkd.data.street_scenes.colours import grey, hsv

LEFT, RIGHT = SIDES = (-1, 1)
_LANE_DASHES = 8


@dataclass(frozen=True)
class Street:
    """The perspective of one scene; lengths in pixels, depth from 0 (horizon) to 1 (bottom edge).

    Attributes:
        height_px: the picture's height.
        width_px: the picture's width.
        horizon_y: the row of the horizon.
        vanish_x: the column of the vanishing point.
        road_left: where the road's left edge meets the bottom edge.
        road_right: the same of its right edge.
        sidewalk_px: a side walk's width at the bottom edge.
    """

    height_px: int
    width_px: int
    horizon_y: int
    vanish_x: float
    road_left: float
    road_right: float
    sidewalk_px: float

    def y_at(self, depth: float) -> float:
        """The row of the ground at a depth."""
        return self.horizon_y + (self.height_px - self.horizon_y) * depth

    def x_at(self, bottom_x: float, depth: float) -> float:
        """The column, at a depth, of the ground line from the vanishing point to ``bottom_x``."""
        return self.vanish_x + (bottom_x - self.vanish_x) * depth

    def road_edge(self, side: int) -> float:
        """Where a side's road edge meets the bottom edge."""
        return self.road_left if side == LEFT else self.road_right


def lay_street(canvas: Canvas) -> Street:
    """Paint sky, terrain, side walks and road, and say where they lie."""
    rng, uniform = canvas.rng, canvas.uniform
    height, width = canvas.height_px, canvas.width_px
    horizon_y, vanish_x = int(height * uniform(0.34, 0.5)), width * uniform(0.3, 0.7)

    sky = canvas.part("sky", hsv(rng, (95, 125), (0, 110), (150, 255)), 4, CLOUDY)
    canvas.rectangle(0, 0, width, height, sky)
    terrain = canvas.part("terrain", hsv(rng, (22, 55), (40, 130), (70, 150)), 14, ROUGH)
    canvas.rectangle(0, horizon_y, width, height, terrain)

    road_width, road_shift = uniform(0.45, 1.1), uniform(-0.25, 0.25)
    street = Street(
        height_px=height,
        width_px=width,
        horizon_y=horizon_y,
        vanish_x=vanish_x,
        road_left=vanish_x - width * (road_width * 0.5 + road_shift),
        road_right=vanish_x + width * (road_width * 0.5 - road_shift),
        sidewalk_px=width * uniform(0.08, 0.45),
    )
    asphalt_level = uniform(70, 140)
    _pave_sidewalks(canvas, street, asphalt_level)
    _pave_road(canvas, street, asphalt_level)
    return street


def _pave_sidewalks(canvas: Canvas, street: Street, asphalt_level: float) -> None:
    """Side walks are 5 to 45 levels lighter than the road's middle grey: close enough to need their shape."""
    colour = grey(canvas.rng, asphalt_level + 5, asphalt_level + 45, 10)
    for side in SIDES:
        if canvas.uniform() < 0.85:
            edge = street.road_edge(side)
            texture = STRIPED if canvas.uniform() < 0.5 else ROUGH
            corners = [
                (street.vanish_x + side * 2, street.horizon_y),
                (edge, street.height_px),
                (edge + side * street.sidewalk_px, street.height_px),
            ]
            canvas.polygon(corners, canvas.part("sidewalk", colour, 9, texture))


def _pave_road(canvas: Canvas, street: Street, asphalt_level: float) -> None:
    rng = canvas.rng
    road = canvas.part("road", grey(rng, asphalt_level - 25, asphalt_level + 12, 6), 8, ROUGH)
    corners = [
        (street.vanish_x - 3, street.horizon_y),
        (street.vanish_x + 3, street.horizon_y),
        (street.road_right, street.height_px),
        (street.road_left, street.height_px),
    ]
    canvas.polygon(corners, road)
    if canvas.uniform() < 0.8:
        paint = canvas.part("road", grey(rng, 180, 240, 5), 5, FINE)
        for share in rng.uniform(0.25, 0.75, rng.integers(1, 3)).tolist():
            _mark_lane(canvas, street, street.road_left + (street.road_right - street.road_left) * share, paint)


def _mark_lane(canvas: Canvas, street: Street, bottom_x: float, paint: int) -> None:
    for dash in range(_LANE_DASHES):
        start = (dash / _LANE_DASHES) ** 1.6
        end = start + 0.035 * (1 + 2 * dash / _LANE_DASHES)
        a, b = ((street.x_at(bottom_x, depth), street.y_at(depth)) for depth in (start, end))
        canvas.line(a, b, 1 + 3 * start * canvas.scale, paint)
