"""Which channels of a teacher make up each class of the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from segkd.errors import SegkdError, unknown_name
from segkd.recipe.class_map import LEFT_OUT


@dataclass(frozen=True)
class ClassMap:
    """Channels of a teacher by class of the data.

    Attributes:
        teacher: the teacher's class names, in the order of its logits.
        student: the data's class names, in their order.
        groups: for each class of the data the teacher's channels that make it up, at least one.
    """

    teacher: tuple[str, ...]
    student: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]

    @property
    def is_identity(self) -> bool:
        """Whether nothing is reordered, merged or left out."""
        return self.groups == tuple((i,) for i in range(len(self.teacher)))

    @property
    def left_out(self) -> tuple[str, ...]:
        """Teacher classes that go nowhere."""
        used = {channel for group in self.groups for channel in group}
        return tuple(name for channel, name in enumerate(self.teacher) if channel not in used)

    def table(self) -> str:
        """One line per class of the data, then what is left out."""
        width = max(len(name) for name in self.student)
        lines = [
            f"  {name:<{width}}  <- {' + '.join(self.teacher[channel] for channel in group)}"
            for name, group in zip(self.student, self.groups, strict=True)
        ]
        if self.left_out:
            lines.append(f"  left out: {', '.join(self.left_out)}")
        return "\n".join(["classes of the data <- classes of the teacher", *lines])


def map_classes(
    teacher: Sequence[str],
    student: Sequence[str],
    given: Mapping[str, str | None] | None = None,
    *,
    called: str = "",
    role: str = "teacher",
    option: str = "teacher.class_map",
) -> ClassMap:
    """Map classes by name.

    A teacher class goes where ``given`` says, else to the class of the data that bears its name; case, ``_`` and
    ``-`` do not matter. Several may go to one class.

    Args:
        teacher: the teacher's class names, in the order of its logits.
        student: the data's class names, in their order.
        given: teacher class -> class of the data, or None or ``"ignore"`` for one that is left out.
        called: the teacher, for messages.
        role: what it is, for messages.
        option: where ``given`` is written, for messages.

    Raises:
        SegkdError: for a name in ``given`` that does not exist, a teacher class without a place, or a class of the
            data that no teacher class goes to; all of them are named.
    """
    if tuple(teacher) == tuple(student) and not given:
        return ClassMap(tuple(teacher), tuple(student), tuple((i,) for i in range(len(student))))
    own = _by_plain_name(student)
    chosen = _chosen(given or {}, teacher, own, option)
    groups: list[list[int]] = [[] for _ in student]
    homeless = []
    for channel, name in enumerate(teacher):
        target = chosen[plain_name(name)] if plain_name(name) in chosen else own.get(plain_name(name), -1)
        if target is None:
            continue
        if target < 0:
            homeless.append(name)
        else:
            groups[target].append(channel)
    empty = [name for name, group in zip(student, groups, strict=True) if not group]
    if homeless or empty:
        raise SegkdError(f"{role} {called} {_explain(len(teacher), len(student), homeless, empty, option)}")
    return ClassMap(tuple(teacher), tuple(student), tuple(tuple(group) for group in groups))


def _chosen(
    given: Mapping[str, str | None], teacher: Sequence[str], own: Mapping[str, int], option: str
) -> dict[str, int | None]:
    """Plain teacher name -> class of the data, None for one that is left out."""
    theirs = {plain_name(name) for name in teacher}
    chosen: dict[str, int | None] = {}
    for name, target in given.items():
        if plain_name(name) not in theirs:
            raise SegkdError(f"{option}: {unknown_name('class of the teacher', name, teacher)}")
        if target is not None and plain_name(target) in own:
            chosen[plain_name(name)] = own[plain_name(target)]
        elif target is None or target == LEFT_OUT:
            chosen[plain_name(name)] = None
        else:
            raise SegkdError(f"{option}: {name}: {unknown_name('class of the data', target, own)}")
    return chosen


def _by_plain_name(names: Sequence[str]) -> dict[str, int]:
    places: dict[str, int] = {}
    for index, name in enumerate(names):
        if plain_name(name) in places:
            raise SegkdError(f"the data have two classes called {name!r}: classes cannot be mapped by name")
        places[plain_name(name)] = index
    return places


def plain_name(name: str) -> str:
    """A class name as it is compared: case, ``_`` and ``-`` do not matter."""
    return " ".join(name.replace("_", " ").replace("-", " ").split()).casefold()


def _explain(theirs: int, ours: int, homeless: Sequence[str], empty: Sequence[str], option: str) -> str:
    faults = []
    if homeless:
        faults.append(f"the data have no {_some(homeless)}")
    if empty:
        faults.append(f"the teacher has no {_some(empty)}")
    return (
        f"has {theirs} classes, the data {ours}: {'; '.join(faults)}; say with {option} which class of the "
        "data each of the teacher's becomes (NAME: NAME, or NAME: null to leave it out)"
    )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:8]) + (f" and {len(listed) - 8} more" if len(listed) > 8 else "")
