"""The one reader of gates: ``--gate``, ``gates.yaml`` and a recipe's or a manifest's ``gates``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError, unknown_name
from segkd.files.yaml_lines import read_yaml_file
from segkd_deploy.gates.table import DEFAULTS, GATES, LIMITED, Limits

# A section whose keys are variants; a variant or precision may also stand alone.
_VARIANTS = "variants"


def parse_gates(texts: Iterable[str]) -> Limits:
    """``PRECISION.GATE=LIMIT``, ``VARIANT.GATE=LIMIT`` or ``GATE=LIMIT`` as key -> limit.

    Raises:
        SegkdError: for other text.
    """
    limits = {}
    for text in texts:
        key, equals, value = text.partition("=")
        try:
            limits[key.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise SegkdError(f"--gate {text}: expected GATE=LIMIT, as in --gate fp16.agreement=0.999")
    return limits


def load_gates(path: Path, variants: Iterable[str]) -> Limits:
    """The limits of a gates file: ``GATE`` or ``SCOPE.GATE`` -> limit.

    Args:
        path: YAML, see ``segkd release gates``.
        variants: the artifact's.

    Raises:
        SegkdError: if it cannot be read, or a scope, gate or limit in it is wrong.
    """
    if not path.exists():
        raise SegkdError(f"{path}: there is no such file; `segkd release gates > {path.name}` writes one to begin with")
    content, _ = read_yaml_file(path)
    if not isinstance(content, Mapping) or not content:
        raise SegkdError(f"{path}: expected gates such as 'agreement: 0.9999'; `segkd release gates` prints a file")
    return check_limits(content, variants, f"{path}: ")


def check_limits(wanted: Mapping[str, Any], scopes: Iterable[str] = (), place: str = "gate ") -> Limits:
    """Hold the keys and limits of gates against what there is.

    Args:
        wanted: ``GATE`` or ``SCOPE.GATE`` -> limit, or scope -> gate -> limit, as in a gates file.
        scopes: variants; precisions are known.
        place: begins every message.

    Returns:
        ``GATE`` or ``SCOPE.GATE`` -> limit.

    Raises:
        SegkdError: for an unknown precision, variant or gate, or a limit that is no number of at least 0, or above
            1 where values are shares.
    """
    known = [*dict.fromkeys([*DEFAULTS, *scopes])]
    limits: Limits = {}
    for key, limit in _flat(wanted, place, known).items():
        scope, dot, name = key.rpartition(".")
        if name not in LIMITED:
            raise SegkdError(f"{place}{key}: {unknown_name('gate', name, LIMITED)}")
        if dot and scope not in known:
            raise SegkdError(f"{place}{key}: {unknown_name('precision or variant', scope, known)}")
        if isinstance(limit, bool) or not isinstance(limit, (int, float)):
            raise SegkdError(f"{place}{key}: expected a number of at least 0, got {limit!r}")
        if not math.isfinite(limit) or limit < 0:
            raise SegkdError(f"{place}{key}: expected a number of at least 0, got {limit:g}")
        if GATES[name].share and limit > 1:
            percent = f"; {limit:g} % is {limit / 100:g}" if limit <= 100 else ""
            raise SegkdError(f"{place}{key}: {name} is 0..1, got {limit:g}{percent}")
        limits[key] = float(limit)
    return limits


def chosen(variant: str, precision: str, wanted: Mapping[str, float]) -> Limits:
    """The limits that were asked for a variant: its own before its precision's before everyone's.

    Args:
        variant: its name.
        precision: its precision.
        wanted: ``GATE`` or ``SCOPE.GATE`` -> limit.
    """
    found: Limits = {}
    for scope in ("", precision, variant):
        for key, limit in wanted.items():
            own, _, name = key.rpartition(".")
            if own == scope:
                found[name] = limit
    return found


def _flat(content: Mapping[Any, Any], place: str, scopes: Iterable[str]) -> dict[str, Any]:
    """``GATE`` or ``SCOPE.GATE`` -> limit, of scopes that are sections, alone or below ``variants``.

    Args:
        content: gate -> limit, ``SCOPE.GATE`` -> limit, scope -> gate -> limit, ``variants`` -> scope -> gate -> limit.
        place: begins every message.
        scopes: precisions and variants.

    Raises:
        SegkdError: for a section that is no scope or no mapping.
    """
    limits: dict[str, Any] = {}
    for key, value in content.items():
        if key == _VARIANTS:
            if not isinstance(value, Mapping):
                raise SegkdError(f"{place}{_VARIANTS}: expected a mapping variant -> gates, got {value!r}")
            sections, where = value, f"{place}{_VARIANTS}."
        elif isinstance(value, Mapping) or key in scopes:
            sections, where = {key: value}, place
        else:
            _add(limits, str(key), value, place)
            continue
        for scope, part in sections.items():
            for name, limit in _section(str(scope), part, where, list(scopes)).items():
                _add(limits, f"{scope}.{name}", limit, where)
    return limits


def _section(scope: str, part: Any, place: str, scopes: list[str]) -> Mapping[Any, Any]:
    if scope not in scopes:
        raise SegkdError(f"{place}{scope}: {unknown_name('precision or variant', scope, scopes)}")
    if not isinstance(part, Mapping):
        raise SegkdError(f"{place}{scope}: expected a mapping gate -> limit, got {part!r}")
    return part


def _add(limits: dict[str, Any], key: str, value: Any, place: str) -> None:
    if key in limits:
        raise SegkdError(f"{place}{key}: there are two limits for it; leave one out")
    limits[key] = value
