"""What hyper-parameters may be, checked without torch."""

from __future__ import annotations

import math
from collections.abc import Iterable

from segkd.errors import SegkdError, unknown_name


def at_least_zero(name: str, value: float) -> float:
    """A hyper-parameter that must be a finite number >= 0.

    Raises:
        SegkdError: if it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise SegkdError(f"{name} must be a number of at least 0, got {value!r}")
    return float(value)


def positive(name: str, value: float) -> float:
    """A hyper-parameter that must be a finite number > 0.

    Raises:
        SegkdError: if it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise SegkdError(f"{name} must be a number above 0, got {value!r}")
    return float(value)


def whole_number(name: str, value: int, least: int = 1) -> int:
    """A hyper-parameter that must be a whole number of at least ``least``.

    Raises:
        SegkdError: if it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SegkdError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """A hyper-parameter that must be one of some words.

    Raises:
        SegkdError: if it is not, with the nearest one.
    """
    if value not in known:
        raise unknown_name(f"value of {name}", value, known)
    return value
