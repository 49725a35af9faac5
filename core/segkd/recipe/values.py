"""Kinds of values in a recipe, as people write them in YAML; pydantic calls these functions first."""

from __future__ import annotations

from typing import Any

from segkd.options import parse_size


def as_named(value: Any) -> Any:
    """A part as ``name`` or ``{name: options}``; an empty option list becomes {}."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, dict) and len(value) == 1:
        ((name, options),) = value.items()
        if options is None or isinstance(options, dict):
            return {name: options or {}}
        raise ValueError(f"the options of {name} must be key: value pairs, got {options!r}")
    raise ValueError(f"expected a name, or one name with its options ({{name: {{key: value}}}}), got {value!r}")


def as_size(value: Any) -> Any:
    """``96x192``, ``[96, 192]``, or ``96`` for a square."""
    if isinstance(value, str) or type(value) is int:
        return parse_size(str(value))
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(type(n) is int and n > 0 for n in value):
        return tuple(value)
    raise ValueError(f"expected height and width in pixels, as 512x1024 or [512, 1024], got {value!r}")


def as_range(value: Any) -> Any:
    """``[0.5, 2.0]``."""
    numbers = isinstance(value, (list, tuple)) and all(type(n) in (int, float) for n in value)
    if not numbers or len(value) != 2 or not 0 < value[0] <= value[1]:
        raise ValueError(f"expected two positive numbers, the smaller one first, as [0.5, 2.0], got {value!r}")
    return tuple(value)
