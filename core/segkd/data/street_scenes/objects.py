"""Cars, trucks, people and bicycles on the street, far to near so that near ones hide far ones."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from segkd.data.street_scenes.canvas import CLOUDY, EGO_VEHICLE, FINE, ROUGH, Canvas
from segkd.data.street_scenes.colours import grey, hsv
from segkd.data.street_scenes.posts import draw_post
from segkd.data.street_scenes.street import SIDES, Street

_KIND_SHARES = {"car": 0.3, "truck": 0.1, "person": 0.22, "bicycle": 0.12, "post": 0.26}
_KINDS, _CUMULATIVE_SHARES = list(_KIND_SHARES), list(accumulate(_KIND_SHARES.values()))[:-1]


def draw_objects(canvas: Canvas, street: Street) -> None:
    """Paint 8 to 19 objects and posts; far ones are more frequent, as in a real street."""
    count = canvas.rng.integers(8, 20)
    placed = [(canvas.uniform(0.06, 1.0) ** 1.3, _draw_kind(canvas)) for _ in range(count)]
    for depth, kind in sorted(placed):
        _PAINTERS[kind](canvas, street, depth)


def draw_hood(canvas: Canvas, street: Street) -> None:
    """Paint the camera car's own bonnet in 30 % of scenes; its label is one that nobody scores."""
    uniform = canvas.uniform
    if uniform() < 0.3:
        center = (street.width_px * uniform(0.3, 0.7), street.height_px * 1.03)
        radii = (street.width_px * uniform(0.3, 0.6), street.height_px * uniform(0.06, 0.12))
        canvas.ellipse(center, radii, canvas.part(EGO_VEHICLE, grey(canvas.rng, 20, 90, 8), 5, CLOUDY))


def _draw_kind(canvas: Canvas) -> str:
    return _KINDS[bisect_right(_CUMULATIVE_SHARES, canvas.rng.random())]


def object_size_px(street: Street, depth: float) -> float:
    """The height in pixels of a thing about 3.5 m high."""
    return (0.06 + depth) * street.height_px


def _road_span(street: Street, depth: float, with_sidewalks: bool) -> tuple[float, float]:
    margin = street.sidewalk_px * depth if with_sidewalks else 0.0
    return street.x_at(street.road_left, depth) - margin, street.x_at(street.road_right, depth) + margin


def _draw_car(canvas: Canvas, street: Street, depth: float) -> None:
    rng, uniform = canvas.rng, canvas.uniform
    size, y = object_size_px(street, depth), street.y_at(depth)
    x = uniform(*_road_span(street, depth, with_sidewalks=False))
    frontal = uniform() < 0.6
    paint, rubber = hsv(rng, (0, 180), (0, 220), (30, 240)), grey(rng, 15, 60, 8)
    width = size * (uniform(0.42, 0.5) if frontal else uniform(0.85, 1.05))
    height = size * uniform(0.3, 0.38)
    body = canvas.part("car", paint, 5, CLOUDY)
    glass = canvas.part("car", grey(rng, 20, 140, 15), 5, FINE)
    wheel = canvas.part("car", rubber, 4, FINE)

    canvas.rectangle(x - width / 2, y - height * 0.62, x + width / 2, y - height * 0.12, body)
    for part, foot, head, low, high in ((body, 0.42, 0.28, 0.6, 1.0), (glass, 0.34, 0.25, 0.62, 0.92)):
        corners = [(-foot, low), (-head, high), (head, high), (foot, low)]
        canvas.polygon([(x + width * across, y - height * up) for across, up in corners], part)
    for side in SIDES:
        canvas.ellipse((x + side * width * 0.32, y - height * 0.12), (height * 0.16, height * 0.16), wheel)
    if frontal:
        lamp = canvas.part("car", (220, 40, 40) if uniform() < 0.5 else (240, 240, 200), 3, FINE)
        for side in SIDES:
            middle = x + side * width * 0.4
            canvas.rectangle(middle - width * 0.05, y - height * 0.5, middle + width * 0.05, y - height * 0.4, lamp)


def _draw_truck(canvas: Canvas, street: Street, depth: float) -> None:
    """A car's colours, but a tall box."""
    rng, uniform = canvas.rng, canvas.uniform
    size, y = object_size_px(street, depth), street.y_at(depth)
    x = uniform(*_road_span(street, depth, with_sidewalks=False))
    frontal = uniform() < 0.6
    paint, rubber = hsv(rng, (0, 180), (0, 220), (30, 240)), grey(rng, 15, 60, 8)
    width = size * (uniform(0.5, 0.62) if frontal else uniform(1.2, 1.8))
    height = size * uniform(0.62, 0.85)
    box = canvas.part("truck", paint if uniform() < 0.6 else grey(rng, 120, 230, 10), 5, CLOUDY)
    wheel = canvas.part("truck", rubber, 4, FINE)
    glass = canvas.part("truck", grey(rng, 20, 140, 15), 5, FINE)

    canvas.rectangle(x - width / 2, y - height, x + width / 2, y - height * 0.1, box)
    if frontal:
        canvas.rectangle(x - width * 0.4, y - height * 0.85, x + width * 0.4, y - height * 0.55, glass)
    for side in SIDES:
        canvas.ellipse((x + side * width * 0.36, y - height * 0.08), (height * 0.1, height * 0.1), wheel)


def _draw_person(canvas: Canvas, street: Street, depth: float) -> None:
    rng, uniform = canvas.rng, canvas.uniform
    y = street.y_at(depth)
    x = uniform(*_road_span(street, depth, with_sidewalks=True))
    height = object_size_px(street, depth) * uniform(0.4, 0.5) * canvas.thickness**0.5
    width = height * uniform(0.22, 0.32)
    coat = canvas.part("person", hsv(rng, (0, 180), (20, 200), (30, 220)), 8, ROUGH)
    trousers = canvas.part("person", hsv(rng, (0, 180), (10, 150), (20, 120)), 6, FINE)
    stride = uniform(0, 0.3) * height
    skin = canvas.part("person", hsv(rng, (5, 20), (40, 140), (90, 230)), 4, FINE)

    for side in SIDES:
        canvas.line((x, y - height * 0.45), (x + side * stride / 2, y), width * 0.4, trousers)
    canvas.ellipse((x, y - height * 0.63), (width * 0.5, height * 0.22), coat)
    canvas.ellipse((x, y - height * 0.93), (height * 0.065, height * 0.08), skin)


def _draw_bicycle(canvas: Canvas, street: Street, depth: float) -> None:
    """Rings and tubes of one or two pixels: what lies between them keeps its own label."""
    size, y = object_size_px(street, depth), street.y_at(depth)
    x = canvas.uniform(*_road_span(street, depth, with_sidewalks=True))
    radius = size * canvas.uniform(0.09, 0.12) * min(canvas.thickness, 1.4)
    tube_px = max(canvas.thickness, size * 0.016 * canvas.thickness)
    bicycle = canvas.part("bicycle", grey(canvas.rng, 10, 200, 40), 5, FINE)

    axle_y = y - radius
    rear, front = (x - radius * 1.5, axle_y), (x + radius * 1.5, axle_y)
    pedals, handlebar, saddle = (x, axle_y), (x + radius * 1.1, y - radius * 2.3), (x - radius * 0.6, y - radius * 2.2)
    for hub in (rear, front):
        canvas.ring(hub, radius, tube_px, bicycle)
    for start, end in (
        (rear, pedals),
        (pedals, handlebar),
        (handlebar, saddle),
        (saddle, rear),
        (saddle, pedals),
        (handlebar, front),
    ):
        canvas.line(start, end, tube_px, bicycle)


def _draw_post(canvas: Canvas, street: Street, depth: float) -> None:
    draw_post(canvas, street, depth, object_size_px(street, depth))


_PAINTERS = {
    "car": _draw_car,
    "truck": _draw_truck,
    "person": _draw_person,
    "bicycle": _draw_bicycle,
    "post": _draw_post,
}
