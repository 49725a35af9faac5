"""Errors that the command line turns into one line and an exit code.

    SegkdError              2  the user must change something
    |-- GateFailed          1  a quality gate did not hold
    `-- BackendMissing      3  a library, runtime or device is not there
        `-- MissingExtra    3  ... and an extra of segkd brings it

What any other exception becomes is in ``segkd.ending.exceptions``.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType


class SegkdError(Exception):
    """What was expected, what came, what to do; printed as one line."""

    exit_code = 2


class GateFailed(SegkdError):
    """A gate (accuracy, agreement, latency, size) did not hold.

    Args:
        message: what did not hold.
        gates: names of the gates that did not, where they have names.
    """

    exit_code = 1

    def __init__(self, message: str, gates: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.gates = frozenset(gates)


class BackendMissing(SegkdError):
    """A library, runtime, provider or device that was asked for is not there."""

    exit_code = 3


class MissingExtra(BackendMissing):
    """An optional dependency is not installed.

    Args:
        module: what could not be imported.
        extra: the extra of segkd that brings it.
    """

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"{module} is not installed: {install_command(extra)}")


def install_command(extra: str) -> str:
    """What installs an extra: by name, or in the checkout that segkd runs from, which no index need know."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        return f"pip install -e '.[{extra}]' in {checkout}"
    return f"pip install 'segkd[{extra}]'"


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an optional dependency.

    Raises:
        MissingExtra: if it, or something it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or module, extra) from error


def unknown_name(kind: str, name: str, known: Iterable[str]) -> SegkdError:
    """The error for a name that is in no table: says the nearest, or lists them all."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return SegkdError(f"unknown {kind} {name!r}; {hint}")
