"""What a graph must hold against its source, by precision, and how users change it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from segkd.errors import SegkdError, unknown_name


@dataclass(frozen=True)
class Gate:
    """A quantity that is limited.

    Attributes:
        floor: the limit is the smallest allowed value, else the largest.
        share: limits lie in 0..1.
        meaning: for people.
    """

    floor: bool
    share: bool
    meaning: str


GATES: dict[str, Gate] = {
    "agreement": Gate(True, True, "share of pixels with the source's label"),
    "miou_delta": Gate(False, True, "difference of mIoU to the source; where gain_counts is false, the loss alone"),
    "worst_class_delta": Gate(
        False, True, "largest loss of IoU of a class beyond what its confidence interval excuses"
    ),
    "self_miou": Gate(True, True, "mIoU with the source's labels as truth, the upper end of its confidence interval"),
    "relative_l2": Gate(False, False, "norm of the difference of the logits over the norm of the source's"),
    "cosine": Gate(True, True, "cosine between the logits of graph and source"),
}


@dataclass(frozen=True)
class Limits:
    """What a graph must hold against its source.

    Attributes:
        agreement: smallest share of pixels with the source's label.
        miou_delta: largest difference of mIoU to the source, as a fraction.
        gain_counts: whether a gain is a difference too: in a precision that should change nothing, it is a fault.
        others: further keys of ``GATES`` -> limit.
    """

    agreement: float
    miou_delta: float
    gain_counts: bool
    others: Mapping[str, float]

    def to_dict(self) -> dict[str, float]:
        """Key of ``GATES`` -> limit."""
        return {"agreement": self.agreement, "miou_delta": self.miou_delta, **self.others}


# Without self_miou: a class of a few pixels counts in it as much as the largest one, so that clean graphs of many
# classes lie below any limit that would find a fault.
LIMITS: dict[str, Limits] = {
    "fp32": Limits(0.9999, 0.0005, True, {"relative_l2": 1e-4}),
    "fp16": Limits(0.999, 0.002, True, {"worst_class_delta": 0.005, "relative_l2": 5e-3}),
    "int8": Limits(0.99, 0.01, False, {"worst_class_delta": 0.02, "cosine": 0.99}),
}


def limits_of(precision: str) -> Limits:
    """The limits for a variant's precision.

    Raises:
        SegkdError: for a precision without limits.
    """
    if precision not in LIMITS:
        raise SegkdError(f"no limits for precision {precision!r}; known: {', '.join(LIMITS)}")
    return LIMITS[precision]


def parse_gates(texts: Iterable[str]) -> dict[str, float]:
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


def check_gates(wanted: Mapping[str, float], scopes: Iterable[str] = LIMITS) -> None:
    """Hold the keys and limits of gates against what there is.

    Args:
        wanted: ``GATE`` or ``SCOPE.GATE`` -> limit.
        scopes: precisions and variants.

    Raises:
        SegkdError: for an unknown precision, variant or gate, or a limit that is no number of at least 0, or above
            1 where values are shares.
    """
    known = [*dict.fromkeys([*LIMITS, *scopes])]
    for key, limit in wanted.items():
        scope, dot, name = key.rpartition(".")
        if name not in GATES:
            raise SegkdError(f"gate {key}: {unknown_name('gate', name, GATES)}")
        if dot and scope not in known:
            raise SegkdError(f"gate {key}: {unknown_name('precision or variant', scope, known)}")
        if not math.isfinite(limit) or limit < 0:
            raise SegkdError(f"gate {key}: expected a number of at least 0, got {limit:g}")
        if GATES[name].share and limit > 1:
            percent = f"; {limit:g} % is {limit / 100:g}" if limit <= 100 else ""
            raise SegkdError(f"gate {key}: {name} is 0..1, got {limit:g}{percent}")


def chosen(variant: str, precision: str, wanted: Mapping[str, float]) -> dict[str, float]:
    """The limits that were asked for a variant: its own before its precision's before everyone's.

    Args:
        variant: its name.
        precision: its precision.
        wanted: ``GATE`` or ``SCOPE.GATE`` -> limit.
    """
    found: dict[str, float] = {}
    for scope in ("", precision, variant):
        for key, limit in wanted.items():
            own, _, name = key.rpartition(".")
            if own == scope:
                found[name] = limit
    return found


def check(name: str, limit: float, measured: float | None, gain_counts: bool = False) -> dict[str, Any]:
    """One row of ``gates``: ``name limit measured passed``; what could not be measured has not passed."""
    value = measured
    if name == "miou_delta" and measured is not None:
        value = abs(measured) if gain_counts else -measured
    if name == "worst_class_delta" and measured is not None:
        value = -measured
    passed = value is not None and math.isfinite(value) and (value >= limit if GATES[name].floor else value <= limit)
    return {"name": name, "limit": limit, "measured": measured, "passed": passed}
