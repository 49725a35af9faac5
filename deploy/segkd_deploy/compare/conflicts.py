"""What makes two rows incomparable, with both sides named."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from segkd_deploy.compare.entry import Condition, Entry


@dataclass(frozen=True)
class Conflict:
    """A reason not to compare.

    Attributes:
        kind: ``invalid``, ``data``, ``protocol``, ``classes`` or ``size``.
        entries: names of the rows; the first is what the others are held against, unless ``kind`` is ``invalid``.
        text: what differs, with both sides and what to do.
    """

    kind: str
    entries: tuple[str, ...]
    text: str


def find_conflicts(entries: Sequence[Entry]) -> list[Conflict]:
    """Everything that makes rows incomparable; the first row that has a property is what the others are held against.

    Other devices and settings of a measurement are no conflict: their rows are marked, see :func:`conditions_of`.
    """
    found = [
        Conflict("invalid", (entry.name,), f"{entry.name} must not be used: {reason}")
        for entry in entries
        for reason in entry.invalid
    ]
    found += _differing(entries, "data", _data, lambda e: f"{e.name} has the mIoU of {_words(e)}", _data_advice)
    found += _differing(entries, "protocol", _protocol, lambda e: f"{e.name} was scored by {_protocol(e)}", _same)
    found += _differing(entries, "classes", lambda e: e.classes, _classes, _same)
    for kind, does in (("variant", "takes frames of"), ("run", "was trained at")):
        rows = [entry for entry in entries if entry.kind == kind]
        found += _differing(rows, "size", lambda e: e.size_px, lambda e, does=does: _size(e, does), _same)  # type: ignore[misc]
    return found


def conditions_of(entries: Sequence[Entry]) -> dict[Condition, str]:
    """A letter for each condition that latencies were measured under, in the order of the rows."""
    distinct = dict.fromkeys(entry.measured.condition for entry in entries if entry.measured is not None)
    return {condition: _letter(index) for index, condition in enumerate(distinct)}


def bases_of(entries: Sequence[Entry]) -> dict[Hashable, str]:
    """A number for each thing that mIoU was measured on, in the order of the rows."""
    distinct = dict.fromkeys(_data(entry) for entry in entries if entry.accuracy is not None)
    return {basis: str(index) for index, basis in enumerate(distinct, 1)}


def basis_of(entry: Entry) -> Hashable:
    """The key of an entry in :func:`bases_of`."""
    return _data(entry)


def _differing(
    entries: Sequence[Entry],
    kind: str,
    value: Callable[[Entry], Hashable | None],
    words: Callable[[Entry], str],
    advice: Callable[[Entry, Entry], str],
) -> list[Conflict]:
    """One conflict for each value that is not the first one's; unknown values are no conflict."""
    groups: dict[Hashable, list[Entry]] = {}
    for entry in entries:
        known = value(entry)
        if known is not None:
            groups.setdefault(known, []).append(entry)
    if len(groups) < 2:
        return []
    (first, *_), *others = groups.values()
    conflicts = []
    for group in others:
        more = f" (and {', '.join(entry.name for entry in group[1:])})" if len(group) > 1 else ""
        text = f"{kind}: {words(first)}, {words(group[0])}{more}{advice(first, group[0])}"
        conflicts.append(Conflict(kind, (first.name, *(entry.name for entry in group)), text))
    return conflicts


def _data(entry: Entry) -> Hashable | None:
    accuracy = entry.accuracy
    return None if accuracy is None else (accuracy.basis, accuracy.fingerprint)


def _words(entry: Entry) -> str:
    return "" if entry.accuracy is None else entry.accuracy.words()


def _data_advice(first: Entry, other: Entry) -> str:
    if first.accuracy is None or other.accuracy is None or first.accuracy.basis == other.accuracy.basis:
        return "; score both on the same data"
    graph, scored = (first, other) if first.accuracy.basis == "reference frames" else (other, first)
    data = scored.accuracy.data if scored.accuracy is not None and scored.accuracy.data else "NAME:PATH"
    return f"; score {graph.name} on it with `segkd validate {graph.source} --data {data}`"


def _protocol(entry: Entry) -> str | None:
    return None if entry.accuracy is None else entry.accuracy.protocol


def _classes(entry: Entry) -> str:
    names = entry.classes or ()
    return f"{entry.name} has {len(names)} classes ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def _size(entry: Entry, does: str) -> str:
    height_px, width_px = entry.size_px or (0, 0)
    return f"{entry.name} {does} {height_px}x{width_px}"


def _same(first: Entry, other: Entry) -> str:
    return ""


def _letter(index: int) -> str:
    """The letters a to z, then aa, ab, ..."""
    turns, rest = divmod(index, len(ascii_lowercase))
    return ("" if turns == 0 else _letter(turns - 1)) + ascii_lowercase[rest]
