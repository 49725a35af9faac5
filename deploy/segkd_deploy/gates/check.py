"""The one check of evidence against limits."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from segkd.errors import SegkdError
from segkd_deploy.gates.reading import check_limits, chosen
from segkd_deploy.gates.table import GATES, LIMITED, Limits, Part, limits_of
from segkd_deploy.gates.values import why_unfit, worst_class_change

Rows = list[dict[str, Any]]

# Precisions that should change nothing: there a gain of mIoU is a difference, too.
_STEADY = ("fp32", "fp16")
# Gates whose values are changes: a loss is a negative one.
_CHANGES = ("miou_delta", "worst_class_delta", "run_miou_delta")


def holds(name: str, limit: float, measured: float | None, precision: str) -> bool:
    """Whether a value holds its limit; what could not be measured does not."""
    if measured is None or not math.isfinite(measured):
        return False
    value = measured
    if name in _CHANGES:
        value = abs(measured) if name == "miou_delta" and precision in _STEADY else -measured
    return value >= limit if GATES[name].floor else value <= limit


def check(
    parity: Part, bench: Part | None, limits: Mapping[str, float], precision: str, asked: Collection[str] = ()
) -> Rows:
    """Hold one variant's evidence against its limits.

    Args:
        parity: its part of ``parity.json``.
        bench: content of its ``bench.json``; None where it was not timed, which leaves those gates out.
        limits: gate -> limit.
        precision: the variant's.
        asked: gates that a user named: there what was not measured has not passed.

    Returns:
        One row ``name limit measured passed`` per gate, in the order of ``GATES``.
    """
    rows: Rows = []
    for name, gate in GATES.items():
        if gate.timed and bench is None:
            continue
        value = gate.value(parity, bench or {})
        if gate.flag and value is not None:
            rows.append({"name": name, "limit": True, "measured": bool(value), "passed": bool(value)})
        elif name in limits and not (value is None and gate.optional and name not in asked):
            passed = holds(name, limits[name], value, precision)
            rows.append({"name": name, "limit": limits[name], "measured": value, "passed": passed})
            lost = worst_class_change(parity)[0] if name == "worst_class_delta" else None
            rows[-1] |= {} if lost is None else {"class": lost}
    return rows


def strictest(*parts: Mapping[str, float]) -> Limits:
    """Of every gate the limit that is hardest to hold."""
    found: Limits = {}
    for part in parts:
        for name, limit in part.items():
            harder = max if GATES[name].floor else min
            found[name] = limit if name not in found else harder(found[name], limit)
    return found


def check_evidence(
    variants: Mapping[str, str],
    own: Mapping[str, float],
    parity: Mapping[str, Any],
    benches: Mapping[str, Part],
    wanted: Mapping[str, float],
) -> Rows:
    """The gates of ``segkd release`` and ``segkd deploy``.

    Args:
        variants: variant -> its precision.
        own: the manifest's gates.
        parity: content of ``parity.json``.
        benches: variant -> content of its ``bench.json``.
        wanted: what a gates file asks for; it makes limits stricter, never looser.

    Returns:
        Rows as of ``check``, each with its ``variant``.

    Raises:
        SegkdError: if ``parity.json`` has no rows of a variant, or says that it did not pass while all of them did.
    """
    try:
        return _held(variants, own, parity, benches, wanted)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise SegkdError(
            f"parity.json or bench.json is not what segkd writes ({error}); make them again with `segkd validate` and "
            "`segkd bench`"
        ) from error


def _held(
    variants: Mapping[str, str],
    own: Mapping[str, float],
    parity: Mapping[str, Any],
    benches: Mapping[str, Part],
    wanted: Mapping[str, float],
) -> Rows:
    rows: Rows = []
    for variant, precision in variants.items():
        part = parity["variants"][variant]
        seen = _validated(part, variant)
        mine, asked = (chosen(variant, precision, limits) for limits in (own, wanted))
        limits = strictest(limits_of(precision) | mine, asked, {name: row["limit"] for name, row in seen.items()})
        found = check(part, benches[variant], limits, precision, {*mine, *asked})

        # What validate refused stays refused, whatever the numbers beside it say.
        failed = [row for row in part["gates"] if row.get("passed") is not True]
        names = {row.get("name") for row in failed}
        found = [{**row, "passed": row["passed"] and row["name"] not in names} for row in found]
        found += [row for row in failed if row.get("name") not in {row["name"] for row in found}]
        rows += [{"variant": variant, **row} for row in found]
    whole = parity["variants"].keys() <= variants.keys()
    if whole and parity.get("passed") is not True and all(row["passed"] for row in rows):
        raise SegkdError("parity.json says that it did not pass, but no row of it does; run segkd validate again")
    return rows


def _validated(part: Part, variant: str) -> dict[str, dict[str, Any]]:
    """Gate -> row of a variant in ``parity.json``, of the gates that have a limit."""
    rows = part.get("gates")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise SegkdError(f"parity.json has no gates of {variant}; make it again with `segkd validate`")
    limited = [row for row in rows if row.get("name") in LIMITED]
    for row in limited:
        check_limits({str(row["name"]): row.get("limit")}, place=f"parity.json: {variant}: ")
    return {str(row["name"]): row for row in limited}


def loosened(variants: Mapping[str, str], own: Mapping[str, float], wanted: Mapping[str, float]) -> list[str]:
    """A sentence per limit of a gates file that is looser than what holds anyway."""
    said: list[str] = []
    for variant, precision in variants.items():
        base = limits_of(precision) | chosen(variant, precision, own)
        for name, limit in chosen(variant, precision, wanted).items():
            if name in base and strictest(base, {name: limit})[name] != limit:
                said.append(f"{variant} {name}: {base[name]:g} holds, which is stricter than the file's {limit:g}")
    return said


def failed_gates(rows: Sequence[Mapping[str, Any]], benches: Mapping[str, Part]) -> list[str]:
    """``VARIANT GATE`` of the rows that did not pass; of a measurement that is not valid also why.

    Args:
        rows: of ``check_evidence``.
        benches: variant -> content of its ``bench.json``.
    """
    failed = []
    for row in rows:
        if row["passed"]:
            continue
        reasons = why_unfit(benches[row["variant"]]) if row["name"] == "bench_valid" else []
        why = f" ({'; '.join(reasons)})" if reasons else ""
        failed.append(f"{row['variant']} {row['name']}{why}")
    return failed
