"""What is wrong with a recipe, in the user's words: where it stands, what was expected, what came."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from segkd.errors import SegkdError
from segkd.files.yaml_lines import KeyPath, dotted, parse_scalar

# pydantic's error type -> our words, filled with the error's context and the value that came.
_WORDS: dict[str, str] = {
    "int_type": "expected a whole number, got {got}",
    "int_from_float": "expected a whole number, got {got}",
    "float_type": "expected a number, got {got}",
    "finite_number": "expected a finite number, got {got}",
    "string_type": "expected text, got {got}",
    "bool_type": "expected true or false, got {got}",
    "list_type": "expected a list, got {got}",
    "dict_type": "expected key: value pairs, got {got}",
    "model_type": "expected a section of key: value lines, got {got}",
    "literal_error": "expected {expected}, got {got}",
    "greater_than": "must be above {gt}, got {got}",
    "greater_than_equal": "must be at least {ge}, got {got}",
    "less_than": "must be below {lt}, got {got}",
    "less_than_equal": "must be at most {le}, got {got}",
    "value_error": "{error}",
}


@dataclass
class Places:
    """Where each key of a recipe was written.

    Attributes:
        source: the file, for keys without a place of their own.
        keys: path -> ``file:line`` or the ``--set`` that wrote it.
        nulls: keys that were given no value on purpose: over one of an extended recipe, or by ``--set``.
    """

    source: str
    keys: dict[KeyPath, str]
    nulls: set[KeyPath] = field(default_factory=set)

    def of(self, path: KeyPath) -> str:
        """The place of a key, else of the nearest section around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.keys:
                return self.keys[path[:length]]
        return self.source

    def overwrite(self, path: KeyPath, place: str) -> None:
        """A key was replaced, and with it all below."""
        for known in [key for key in self.keys if key[: len(path)] == path]:
            del self.keys[known]
        self.nulls -= {key for key in self.nulls if key[: len(path)] == path}
        self.keys[path] = place


def apply_overrides(mapping: Mapping[str, Any], overrides: Iterable[str], places: Places) -> dict[str, Any]:
    """A copy of the values with ``key.path=value`` applied in order; sections that are not there are made.

    Raises:
        SegkdError: ``--set ...`` for an override without ``=``, or a path through something that is no section.
    """
    values: dict[str, Any] = copy.deepcopy(dict(mapping))
    for override in overrides:
        place = f"--set {override}"
        key, equals, text = override.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise SegkdError(f"{place}: expected KEY=VALUE, as in --set train.iters=100")
        try:
            value = parse_scalar(text)
        except yaml.YAMLError as error:
            raise SegkdError(f"{place}: {text!r} is not valid YAML; put it in quotes") from error

        # Walk to the section that holds the key, then write it.
        parent: Any = values
        path: KeyPath = ()
        for part in parts[:-1]:
            step = _step(parent, part, path, place)
            path = (*path, step)
            if isinstance(parent, dict):
                parent[step] = {} if parent.get(part) is None else parent[step]
            parent = parent[step]

        step = _step(parent, parts[-1], path, place)
        parent[step] = value
        places.overwrite((*path, step), place)
        if value is None:
            places.nulls.add((*path, step))

    return values


def leave_out(values: dict[str, Any], model: type[BaseModel], places: Places) -> dict[str, Any]:
    """The values without the keys that were given no value on purpose, so that their defaults hold.

    A key that has null among its values (its default is null) keeps it.

    Args:
        values: sections and keys; changed.
        model: the schema.
        places: which keys were emptied.
    """
    for path in places.nulls:
        section: Any = values
        fields = _fields(path[:-1], model)
        for part in path[:-1]:
            section = section[part]
        known = fields.get(str(path[-1]))
        if known is not None and known.default is not None and isinstance(section, dict):
            section.pop(path[-1], None)
    return values


def _fields(path: KeyPath, model: Any) -> dict[str, FieldInfo]:
    """The fields of a section by the names that recipes use; none for what is no section."""
    for part in path:
        known = model.model_fields.get(str(part))
        model = known.annotation if known is not None else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return {}
    return {known.alias or name: known for name, known in model.model_fields.items()}


def _step(parent: Any, part: str, path: KeyPath, place: str) -> Any:
    """The key or index that ``part`` means inside ``parent``."""
    if isinstance(parent, dict):
        return part
    if isinstance(parent, list):
        if part.isdecimal() and int(part) < len(parent):
            return int(part)
        raise SegkdError(
            f"{place}: {dotted(path)} is a list of {len(parent)}; write its index (from 0) after it, or set all of it"
        )
    raise SegkdError(f"{place}: {dotted(path)} is {parent!r}, not a section; set {dotted(path)} itself")


def explain(error: ValidationError, model: type[BaseModel], values: Any, places: Places) -> SegkdError:
    """One error in the user's words: the first place in the recipe that is wrong.

    Args:
        error: what pydantic found.
        model: the schema.
        values: what was validated.
        places: where its keys were written.
    """
    problems: dict[KeyPath, list[str]] = {}
    for detail in error.errors(include_url=False):
        unknown = detail["type"] == "extra_forbidden"
        path = tuple(detail["loc"]) if unknown else _inside(tuple(detail["loc"]), values)
        if unknown:
            words = _unknown_key(path, model)
        else:
            words = _WORDS.get(detail["type"], detail["msg"]).format(
                **{**detail.get("ctx", {}), "got": repr(detail["input"])}
            )
        problems.setdefault(path, []).append(words)
    path, found = next(iter(problems.items()))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    place = f"{places.of(path)}: " if path else f"{places.source}: "
    return SegkdError(f"{place}{dotted(path)}: {', or '.join(found)}{more}")


def _inside(path: KeyPath, values: Any) -> KeyPath:
    """The part of pydantic's location that exists in the values (it appends the branch of a union)."""
    known: KeyPath = ()
    for part in path:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            break
        known = (*known, part)
    return known


def _unknown_key(path: KeyPath, model: type[BaseModel]) -> str:
    names = list(_fields(path[:-1], model))
    # A key of a section that was written without it, as in `--set iters=5`.
    inside = [f"{name}.{path[-1]}" for name in names if str(path[-1]) in _fields((name,), model)]
    if len(path) == 1 and inside:
        return f"unknown key, did you mean {' or '.join(map(repr, inside))}?"
    near = difflib.get_close_matches(str(path[-1]), names, n=1, cutoff=0.6)
    return "unknown key, " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}")
