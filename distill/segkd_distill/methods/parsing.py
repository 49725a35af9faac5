"""Methods as they are written: ``cwd+brd@0.5`` on the command line, or the ``methods`` list of a recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from segkd.errors import SegkdError, unknown_name
from segkd_distill.methods import METHODS
from segkd_distill.methods.values import at_least_zero

# What ``build_method`` is given by the run.
RESERVED = frozenset({"name", "student", "teacher", "num_classes"})
# How a method's terms enter the loss; given to no method.
WEIGHTINGS = frozenset({"weight", "balance"})

MethodSpec = str | Mapping[str, Mapping[str, Any] | None]


def parse_methods(specs: Iterable[MethodSpec]) -> list[tuple[str, dict[str, Any]]]:
    """Read what the command line or a recipe says about methods.

    Args:
        specs: each ``"cwd"``, ``"brd:0.5"`` (the published terms times 0.5), ``"brd@0.5"`` (a gradient half as large as
            the task's), ``"cwd+brd@0.5"`` or ``{"cwd": {"temperature": 1.0, "weight": 2.0}}``.

    Returns:
        (name, hyper-parameters) per method in the given order; ``weight`` or ``balance`` are among them where they
        were given, never both.

    Raises:
        SegkdError: for an unknown name, a method that comes twice, a weight or balance that is no number >= 0, or both
            for one method.
    """
    parsed: list[tuple[str, dict[str, Any]]] = []
    for spec in specs:
        parsed += _parse_text(spec) if isinstance(spec, str) else _parse_mapping(spec)

    seen: set[str] = set()
    for name, hyper in parsed:
        if name not in METHODS:
            raise unknown_name("method", name, METHODS)
        if name in seen:
            raise SegkdError(f"method {name} is given twice; give it once, with one weight")
        seen.add(name)
        for key in sorted(RESERVED & hyper.keys()):
            raise SegkdError(f"{key} is no hyper-parameter of method {name}: the run sets it")
        if "weight" in hyper and "balance" in hyper:
            raise SegkdError(f"method {name}: weight fixes the factor, balance lets it follow the gradients; keep one")
        for key in WEIGHTINGS & hyper.keys():
            hyper[key] = at_least_zero(f"the {key} of method {name}", hyper[key])
    return parsed


def _parse_text(text: str) -> list[tuple[str, dict[str, Any]]]:
    parsed: list[tuple[str, dict[str, Any]]] = []
    pieces = re.split(r"[,;&|\s]+", re.sub(r"\s*([+:@])\s*", r"\1", text.strip()))
    if len(pieces) > 1:
        raise SegkdError(f"methods are joined by +: write {'+'.join(filter(None, pieces))}, not {text!r}")

    for part in pieces[0].split("+"):
        key = "balance" if "@" in part else "weight"
        name, given, number = part.partition("@" if key == "balance" else ":")
        if key == "weight" and number.isidentifier() and name not in METHODS:
            raise SegkdError(
                f"{part!r}: methods from outside segkd are not taken on the command line or in a recipe yet; known: "
                f"{', '.join(METHODS)}"
            )
        if not name:
            raise SegkdError(f"methods are written NAME[:WEIGHT|@SHARE][+NAME...], got {text!r}")
        try:
            parsed.append((name, {key: float(number)} if given else {}))
        except ValueError:
            raise SegkdError(f"the {key} of method {name} must be a number, got {number!r}") from None
    return parsed


def _parse_mapping(spec: Mapping[str, Mapping[str, Any] | None]) -> list[tuple[str, dict[str, Any]]]:
    if len(spec) != 1:
        raise SegkdError(f"one method per entry of the list expected, got {', '.join(map(str, spec)) or 'none'}")
    ((name, hyper),) = spec.items()
    if hyper is not None and not isinstance(hyper, Mapping):
        raise SegkdError(f"method {name} expects hyper-parameters by name, for example weight: 0.5; got {hyper!r}")
    return [(name, dict(hyper or {}))]
