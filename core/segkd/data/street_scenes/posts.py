"""Posts beside the road: bare ones, and those with a sign, a traffic light or a lamp arm."""

from __future__ import annotations

from segkd.data.street_scenes.canvas import FINE, Canvas, Colour, Point
from segkd.data.street_scenes.colours import grey
from segkd.data.street_scenes.street import SIDES, Street

_SIGN_COLOURS: tuple[Colour, ...] = ((200, 40, 40), (40, 70, 190), (230, 200, 40), (235, 235, 235))
_LAMP_COLOURS: tuple[Colour, ...] = ((255, 60, 50), (255, 200, 60), (60, 255, 120))
_LAMP_OFF: Colour = (45, 40, 40)


def draw_post(canvas: Canvas, street: Street, depth: float, size_px: float) -> None:
    """Paint a post: 35 % carry a sign, 30 % a traffic light, 15 % a lamp arm, 20 % nothing.

    Args:
        canvas: where to paint.
        street: the perspective.
        depth: where it stands, 0 (horizon) to 1.
        size_px: the height of a thing about 3.5 m high at that depth.
    """
    rng, uniform, thickness = canvas.rng, canvas.uniform, canvas.thickness
    side = SIDES[rng.integers(2)]
    x = street.x_at(street.road_edge(side) + side * street.sidewalk_px * uniform(0, 0.5), depth)
    foot = (x, street.y_at(depth))
    head = (x, foot[1] - size_px * uniform(0.8, 1.5))
    width_px = max(thickness, size_px * 0.03 * thickness)
    pole = canvas.part("pole", grey(rng, 40, 170, 10), 4, FINE)
    canvas.line(foot, head, width_px, pole)

    load = uniform()
    if load < 0.35:
        _draw_sign(canvas, head, size_px)
    elif load < 0.65:
        _draw_traffic_light(canvas, head, size_px)
    elif load < 0.8:
        canvas.line(head, (x - side * size_px * 0.5, head[1]), width_px, pole)


def _draw_sign(canvas: Canvas, head: Point, size_px: float) -> None:
    """A disc, a triangle or a board, with a white middle."""
    rng = canvas.rng
    radius = size_px * canvas.uniform(0.07, 0.11) * canvas.thickness
    rim = canvas.part("traffic sign", _SIGN_COLOURS[rng.integers(len(_SIGN_COLOURS))], 4, FINE)
    middle = canvas.part("traffic sign", (240, 240, 240), 4, FINE)
    x, y = head[0], head[1] + radius
    shape = rng.integers(3)
    if shape == 0:
        canvas.ellipse((x, y), (radius, radius), rim)
        canvas.ellipse((x, y), (radius * 0.55, radius * 0.55), middle)
    elif shape == 1:
        for part, half, low, high in ((rim, 1.0, 1.0, 1.0), (middle, 0.5, 0.7, 0.3)):
            base_y = y + radius * low
            canvas.polygon([(x - radius * half, base_y), (x + radius * half, base_y), (x, y - radius * high)], part)
    else:
        canvas.rectangle(x - radius * 1.3, y - radius * 0.7, x + radius * 1.3, y + radius * 0.7, rim)
        canvas.rectangle(x - radius, y - radius * 0.15, x + radius, y + radius * 0.15, middle)


def _draw_traffic_light(canvas: Canvas, head: Point, size_px: float) -> None:
    """A dark box with three lamps, one of them lit."""
    rng = canvas.rng
    half = size_px * canvas.uniform(0.035, 0.055) * canvas.thickness
    x, y = head[0], head[1] + half * 3
    box = canvas.part("traffic light", grey(rng, 20, 60, 6), 4, FINE)
    canvas.rectangle(x - half, y - half * 2.6, x + half, y + half * 2.6, box)
    lit = rng.integers(len(_LAMP_COLOURS))
    for index, colour in enumerate(_LAMP_COLOURS):
        lamp = canvas.part("traffic light", colour if index == lit else _LAMP_OFF, 3, FINE)
        canvas.ellipse((x, y + (index - 1) * half * 1.6), (half * 0.6, half * 0.6), lamp)
