"""Charts as inline SVG: they take the page's font and its light or dark colours from the style sheet."""

from __future__ import annotations

import math
from html import escape

from segkd.report.content import Chart, Series

WIDTH_PX, HEIGHT_PX = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 12, 44
_MAX_POINTS = 400
_BINS = 48


def line_chart(chart: Chart) -> str:
    """A line chart with grid, axes and legend; series of more than 400 points are averaged in buckets.

    Points that are not finite are left out; a chart without any point is an empty text.
    """
    lines = [(series.name, _thin(_finite(series))) for series in chart.series]
    points = [point for _, line in lines for point in line]
    if not points:
        return ""
    x_ticks = _ticks(min(x for x, _ in points), max(x for x, _ in points))
    y_ticks = _ticks(min(y for _, y in points), max(y for _, y in points))
    frame = _Frame(min(x for x, _ in points), max(x for x, _ in points), y_ticks[0], y_ticks[-1])
    parts = [_grid(frame, x_ticks, y_ticks, chart.x_label, chart.y_label)]
    for index, (name, line) in enumerate(lines):
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in line)
        parts.append(f'<polyline class="line s{index % 8}" points="{path}"/>')
        # Few points are measurements that someone wants to read: mark them, with their values on hover.
        for x, y in line if len(line) <= 60 else []:
            parts.append(
                f'<circle class="dot s{index % 8}" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3">'
                f"<title>{escape(name)}: {_number(y)} at {_number(x)}</title></circle>"
            )
    return _svg("".join(parts), chart.title)


def histogram(values: list[float], markers: dict[str, float], x_label: str) -> str:
    """A histogram with named vertical markers.

    The axis ends a little after the largest marker; the label says how many values lie beyond.

    Args:
        values: the measurements; nothing is drawn for fewer than two finite ones.
        markers: name -> position.
        x_label: the axis' name with its unit.
    """
    finite = sorted(value for value in values if math.isfinite(value))
    if len(finite) < 2:
        return ""

    # The axis ends a little beyond the median and the markers; what is longer is counted in the label.
    low, top = finite[0], max([*markers.values(), finite[len(finite) // 2]])
    high = min(finite[-1], top + 0.35 * (top - low)) if top > low else finite[-1]
    if high <= low:
        high = low + max(abs(low) * 0.01, 1e-9)
    beyond = sum(value > high for value in finite)

    counts = [0] * _BINS
    for value in finite:
        if value <= high:
            counts[min(int((value - low) / (high - low) * _BINS), _BINS - 1)] += 1

    y_ticks = _ticks(0, 1.2 * max(counts))
    frame = _Frame(low, high, 0, y_ticks[-1])
    label = x_label + (
        f" ({beyond} of {len(finite)} beyond {_number(high)}, up to {_number(finite[-1])})" if beyond else ""
    )
    parts = [_grid(frame, _ticks(low, high), y_ticks, label, "calls")]

    # Bars, then markers over them.
    step = (high - low) / _BINS
    for index, count in enumerate(counts):
        x, y = frame.x(low + index * step), frame.y(count)
        width = frame.x(low + (index + 1) * step) - x
        if count:
            parts.append(
                f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{max(width - 1, 1):.1f}" '
                f'height="{frame.y(0) - y:.1f}"><title>{count} calls from {_number(low + index * step)} to '
                f"{_number(low + (index + 1) * step)}</title></rect>"
            )

    for row, (name, value) in enumerate(markers.items()):
        if low <= value <= high:
            x = frame.x(value)
            parts.append(
                f'<line class="marker" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{frame.y(0):.1f}"/>'
                f'<text class="marker-name" x="{x + 4:.1f}" y="{_TOP + 12 + 14 * row}">{escape(name)} '
                f"{_number(value)}</text>"
            )

    return _svg("".join(parts), x_label)


class _Frame:
    """Data coordinates to pixels."""

    def __init__(self, x_low: float, x_high: float, y_low: float, y_high: float) -> None:
        self._x_low, self._x_span = x_low, (x_high - x_low) or 1.0
        self._y_low, self._y_span = y_low, (y_high - y_low) or 1.0

    def x(self, value: float) -> float:
        return _LEFT + (value - self._x_low) / self._x_span * (WIDTH_PX - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT_PX - _BOTTOM - (value - self._y_low) / self._y_span * (HEIGHT_PX - _TOP - _BOTTOM)


def _grid(frame: _Frame, x_ticks: list[float], y_ticks: list[float], x_label: str, y_label: str) -> str:
    right, bottom = WIDTH_PX - _RIGHT, HEIGHT_PX - _BOTTOM
    parts = []
    for value in y_ticks:
        y = frame.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" text-anchor="end" x="{_LEFT - 7}" y="{y + 4:.1f}">{_number(value)}</text>')
    for value in x_ticks:
        x = frame.x(value)
        if _LEFT - 0.5 <= x <= right + 0.5:
            parts.append(
                f'<text class="tick" text-anchor="middle" x="{x:.1f}" y="{bottom + 17}">{_number(value)}</text>'
            )
    middle_x, middle_y = (_LEFT + right) / 2, (_TOP + bottom) / 2
    parts.append(f'<text class="axis" text-anchor="middle" x="{middle_x}" y="{HEIGHT_PX - 8}">{escape(x_label)}</text>')
    parts.append(
        f'<text class="axis" text-anchor="middle" transform="translate(13 {middle_y}) rotate(-90)">'
        f"{escape(y_label)}</text>"
    )
    return "".join(parts)


def _svg(content: str, title: str) -> str:
    size = f'viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}"'
    return f'<svg class="chart" {size} role="img" aria-label="{escape(title)}">{content}</svg>'


def _finite(series: Series) -> list[tuple[float, float]]:
    return [(x, y) for x, y in series.points if math.isfinite(x) and math.isfinite(y)]


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(points) <= _MAX_POINTS:
        return points
    size = math.ceil(len(points) / _MAX_POINTS)
    buckets = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in b) / len(b), sum(y for _, y in b) / len(b)) for b in buckets]


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers that enclose the range."""
    if high <= low:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / 5
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * scale for factor in (1, 2, 2.5, 5, 10) if factor * scale >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _number(value: float) -> str:
    if abs(value) >= 10000 and float(value).is_integer():
        return f"{value / 1000:g}k"
    return f"{value:.4g}"
