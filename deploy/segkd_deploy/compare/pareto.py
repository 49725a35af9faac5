"""The Pareto front: what nothing else beats in both cost and accuracy."""

from __future__ import annotations

from collections.abc import Mapping


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The points that no other dominates.

    A point dominates another if it costs no more and scores no less, and differs in one of both; equal points dominate
    each other not, so all of them stay.

    Args:
        points: name -> (cost, score); a lower cost and a higher score are better.

    Returns:
        Names in rising cost, those of equal cost by name.
    """
    ordered = sorted(points, key=lambda name: (points[name][0], -points[name][1], name))
    front: list[str] = []
    best: tuple[float, float] | None = None
    for name in ordered:
        cost, score = points[name]
        if best is None or score > best[1] or (cost, score) == best:
            front.append(name)
            best = (cost, score)
    return front
