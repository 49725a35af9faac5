"""Problems of many files as one line per kind."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from segkd.data.base import Problem
from segkd.data.checks.facts import Facts
from segkd.data.layout.pairing import count_of

# What differs between two problems of one kind: paths, numbers, names in quotes.
_OWN = re.compile(r"\S*/\S*|\d+|'[^']*'|named \S+|lists \S+")


def problem_lines(problems: Sequence[Problem], facts: Mapping[str, Sequence[Facts]]) -> list[str]:
    """One line per kind of problem, with its first file as the example.

    Args:
        problems: of all files, in reading order.
        facts: of the images, which say how many pixels are undeclared.
    """
    undeclared = [fact for part in facts.values() for fact in part if fact.undeclared is not None]
    theirs = {fact.undeclared.problem for fact in undeclared if fact.undeclared is not None}
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        if problem not in theirs:
            kinds.setdefault(_OWN.sub("#", problem.what), []).append(problem)
    lines = [_line(group) for group in kinds.values()]
    masks = sum(fact.classes is not None or fact.undeclared is not None for part in facts.values() for fact in part)
    return [printable(line) for line in lines + _undeclared(undeclared, masks)]


def printable(text: str) -> str:
    """A text with what no terminal shows as escapes: bytes that are no UTF-8, control characters."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _line(group: Sequence[Problem]) -> str:
    others = f" ({count_of(len(group), 'such file')} in all; --json lists them)" if len(group) > 1 else ""
    return f"{group[0].path}: {group[0].what}{others}"


def _undeclared(facts: Sequence[Facts], masks: int) -> list[str]:
    """Each undeclared value in one line, with its share of masks and pixels."""
    holders: dict[tuple[str, str], list[Facts]] = {}
    for fact in facts:
        if fact.undeclared is not None:
            for value in fact.undeclared.pixels:
                holders.setdefault((fact.undeclared.noun, value), []).append(fact)
    by_count = sorted(holders.items(), key=lambda item: -len(item[1]))
    lines = []
    for (noun, value), group in by_count[:_MOST_VALUES]:
        first = group[0].undeclared
        assert first is not None
        pixels = sum(fact.undeclared.pixels[value] for fact in group if fact.undeclared is not None)
        size = sum(fact.mask_px for fact in group)
        share = f", {pixels / size:.1%} of their pixels" if size else ""
        where = f"in {len(group)} of {masks} masks{share}"
        lines.append(f"{first.problem.path}: undeclared {noun} {value} {where}; {first.advice}")
    if len(by_count) > _MOST_VALUES:
        noun = "colours" if by_count[0][0][0] == "colour" else "values"
        lines.append(f"{len(by_count) - _MOST_VALUES} more undeclared {noun}: are these files of class numbers at all?")
    return lines


_MOST_VALUES = 8
