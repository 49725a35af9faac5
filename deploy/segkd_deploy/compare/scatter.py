"""Cost against mIoU as an SVG file of its own, with the Pareto fronts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH_PX, HEIGHT_PX = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 150, 34, 52
# Costs whose largest is this many times the smallest get a logarithmic axis.
_LOG_RATIO = 8.0
_LABEL_PX, _LETTER_PX, _LABEL_STEPS = 13, 6.2, 3
# Okabe and Ito's colours without yellow: distinct for colour-blind readers, dark enough on white.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.title{font-weight:600;font-size:14px}.grid{stroke:#ddd}"
    ".front{fill:none;stroke-width:1.5;stroke-dasharray:5 3}.legend,.name{font-size:11px}"
)


@dataclass(frozen=True)
class Point:
    """A row of the comparison in the plot.

    Attributes:
        name: written beside it.
        cost: on the horizontal axis; lower is better.
        score: on the vertical axis; higher is better.
        group: rows of one group share a colour and a front.
        on_front: whether the dashed line goes through it.
        valid: False draws a hollow mark.
    """

    name: str
    cost: float
    score: float
    group: str
    on_front: bool
    valid: bool = True


def scatter(points: Sequence[Point], *, title: str, x_label: str, y_label: str) -> str:
    """The plot as SVG text; empty without points.

    Args:
        points: at least one, with finite coordinates; costs above 0 where they differ much.
        title: above the plot.
        x_label: cost with its unit.
        y_label: score with its unit.
    """
    if not points:
        return ""
    x, y = _axis([point.cost for point in points]), _axis([point.score for point in points], log=False)
    groups = list(dict.fromkeys(point.group for point in points))
    parts = [_grid(x, y, x_label + (" (logarithmic)" if x.log else ""), y_label)]
    parts += [
        _front([p for p in points if p.group == group and p.on_front], _colour(groups, group), x, y) for group in groups
    ]
    parts += [_mark(point, _colour(groups, point.group), x, y) for point in points]
    parts.append(_names(points, x, y))
    if len(groups) > 1:
        parts.append(_legend(groups))
    parts.append(f'<text class="title" x="{_LEFT}" y="18">{escape(title)}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" role="img"'
    return (
        f'{head} aria-label="{escape(title)}"><style>{_STYLE}</style>'
        f'<rect width="{WIDTH_PX}" height="{HEIGHT_PX}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool

    def share(self, value: float) -> float:
        """Where a value lies, 0..1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def _axis(values: Sequence[float], *, log: bool = True) -> _Axis:
    low, high = min(values), max(values)
    if log and low > 0 and high / low >= _LOG_RATIO:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        steps = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
        low = max(step for step in steps if step <= low)
        high = min(step for step in steps if step >= high * (1 - 1e-9))
        return _Axis(low, high, tuple(step for step in steps if low <= step <= high), log=True)
    pad = 0.08 * (high - low) or abs(high) * 0.05 or 1.0
    step = _round_step((high - low + 2 * pad) / 5)
    first, last = math.floor((low - pad) / step), math.ceil((high + pad) / step)
    first = max(first, 0) if low >= 0 else first
    ticks = tuple(index * step for index in range(first, last + 1))
    return _Axis(ticks[0], ticks[-1], ticks, log=False)


def _round_step(raw: float) -> float:
    scale = 10.0 ** math.floor(math.log10(raw))
    return next(factor * scale for factor in (1, 2, 2.5, 5, 10) if factor * scale >= raw * 0.999)


def _x(axis: _Axis, value: float) -> float:
    return _LEFT + axis.share(value) * (WIDTH_PX - _LEFT - _RIGHT)


def _y(axis: _Axis, value: float) -> float:
    return HEIGHT_PX - _BOTTOM - axis.share(value) * (HEIGHT_PX - _TOP - _BOTTOM)


def _colour(groups: Sequence[str], group: str) -> str:
    return _COLOURS[groups.index(group) % len(_COLOURS)]


def _grid(x: _Axis, y: _Axis, x_label: str, y_label: str) -> str:
    right, bottom = WIDTH_PX - _RIGHT, HEIGHT_PX - _BOTTOM
    parts = []
    for value in y.ticks:
        at = _y(y, value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text text-anchor="end" x="{_LEFT - 7}" y="{at + 4:.1f}">{value:.4g}</text>')
    for value in x.ticks:
        at = _x(x, value)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text text-anchor="middle" x="{at:.1f}" y="{bottom + 17}">{value:.4g}</text>')
    middle_x, middle_y = (_LEFT + right) / 2, (_TOP + bottom) / 2
    parts.append(f'<text text-anchor="middle" x="{middle_x}" y="{HEIGHT_PX - 12}">{escape(x_label)}</text>')
    parts.append(
        f'<text text-anchor="middle" transform="translate(14 {middle_y}) rotate(-90)">{escape(y_label)}</text>'
    )
    return "".join(parts)


def _front(points: Sequence[Point], colour: str, x: _Axis, y: _Axis) -> str:
    """Stairs: up to each point's cost nothing better than the point before can be had."""
    if len(points) < 2:
        return ""
    ordered = sorted(points, key=lambda point: (point.cost, point.score))
    corners = [(_x(x, ordered[0].cost), _y(y, ordered[0].score))]
    for point in ordered[1:]:
        at = (_x(x, point.cost), _y(y, point.score))
        corners += [(at[0], corners[-1][1]), at]
    path = " ".join(f"{across:.1f},{down:.1f}" for across, down in corners)
    return f'<polyline class="front" stroke="{colour}" points="{path}"/>'


def _mark(point: Point, colour: str, x: _Axis, y: _Axis) -> str:
    fill = colour if point.valid else "#fff"
    radius = 6 if point.on_front else 4
    invalid = "" if point.valid else ", not valid"
    return (
        f'<circle cx="{_x(x, point.cost):.1f}" cy="{_y(y, point.score):.1f}" r="{radius}" fill="{fill}" '
        f'stroke="{colour}" stroke-width="1.5"><title>{escape(point.name)}: {point.cost:.4g}, {point.score:.4g}'
        f"{invalid}</title></circle>"
    )


def _names(points: Sequence[Point], x: _Axis, y: _Axis) -> str:
    """A name beside every point, those on a front first, pushed down where it would lie on another.

    A name that would come to lie far from its point is left out: the mark still says it to a pointer.
    """
    parts: list[str] = []
    taken: list[tuple[float, float, float]] = []
    for point in sorted(points, key=lambda point: (not point.on_front, -point.score, point.cost)):
        across, top, length = _x(x, point.cost), _y(y, point.score) + 4, _LETTER_PX * len(point.name)
        left = across + 9 if across + 9 + length <= WIDTH_PX - _RIGHT else max(across - 9 - length, 2)
        right = left + length
        places = [top + _LABEL_PX * step for step in range(_LABEL_STEPS)]
        free = [base for base in places if not any(_overlaps(left, right, base, other) for other in taken)]
        if free:
            taken.append((left, right, free[0]))
            parts.append(f'<text class="name" x="{left:.1f}" y="{free[0]:.1f}">{escape(point.name)}</text>')
    return "".join(parts)


def _overlaps(left: float, right: float, base: float, other: tuple[float, float, float]) -> bool:
    return abs(base - other[2]) < _LABEL_PX and left < other[1] and other[0] < right


def _legend(groups: Sequence[str]) -> str:
    parts = []
    for row, group in enumerate(groups):
        at = _TOP + 10 + 16 * row
        left = WIDTH_PX - _RIGHT + 12
        parts.append(f'<circle cx="{left}" cy="{at - 4}" r="4" fill="{_colour(groups, group)}"/>')
        parts.append(f'<text class="legend" x="{left + 9}" y="{at}">{escape(group)}</text>')
    return "".join(parts)
