"""The table of gates and the limits that hold by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from segkd.errors import SegkdError
from segkd_deploy.gates.values import (
    finite_logits,
    fit_for_release,
    from_logits,
    miou,
    own_miou,
    size_mb,
    size_or_stretch,
    worst_class_change,
)

Part = Mapping[str, Any]
Limits = dict[str, float]


@dataclass(frozen=True)
class Gate:
    """A quantity that is limited.

    Attributes:
        floor: the limit is the smallest allowed value, else the largest.
        share: limits lie in 0..1.
        meaning: for people.
        value: takes the variant's part of ``parity.json`` and its ``bench.json``; None where it was not measured.
        timed: its value stands in ``bench.json``, which ``segkd validate`` does not have.
        flag: it holds or does not, always; there is no limit to give.
        optional: where nobody asked for a limit and it could not be measured, it has no row.
    """

    floor: bool
    share: bool
    meaning: str
    value: Callable[[Part, Part], Any]
    timed: bool = False
    flag: bool = False
    optional: bool = False


GATES: dict[str, Gate] = {
    "miou_floor": Gate(True, True, "mIoU of the graph, 0..1", lambda parity, _: miou(parity)[0]),
    "agreement": Gate(
        True, True, "share of pixels with the source's label, 0..1", lambda parity, _: parity.get("agreement")
    ),
    "miou_delta": Gate(
        False,
        True,
        "loss of mIoU from the source to the graph on the reference frames, 0..1; in fp32 and fp16 a gain counts too",
        lambda parity, _: (parity.get("miou") or {}).get("delta"),
    ),
    "worst_class_delta": Gate(
        False,
        True,
        "largest loss of IoU of a class beyond what its confidence interval excuses",
        lambda parity, _: worst_class_change(parity)[1],
    ),
    "self_miou": Gate(
        True,
        True,
        "mIoU with the source's labels as truth, the upper end of its confidence interval",
        lambda parity, _: own_miou(parity),
    ),
    "relative_l2": Gate(
        False,
        False,
        "norm of the difference of the logits over the norm of the source's",
        lambda parity, _: from_logits(parity, "relative_l2"),
        optional=True,
    ),
    "cosine": Gate(
        True,
        True,
        "cosine between the logits of graph and source",
        lambda parity, _: from_logits(parity, "cosine"),
        optional=True,
    ),
    "run_miou_delta": Gate(
        False,
        True,
        "loss of mIoU on the whole data set from the run's own evaluation to the graph, 0..1",
        lambda parity, _: size_or_stretch(parity),
        optional=True,
    ),
    "logits_finite": Gate(
        True, False, "no logit is infinite or not a number", lambda parity, _: finite_logits(parity), flag=True
    ),
    "p99_latency_ms": Gate(
        False,
        False,
        "99th percentile of the latency",
        lambda _, bench: (bench.get("latency_ms") or {}).get("p99"),
        timed=True,
    ),
    "size_mb": Gate(False, False, "the graph's file, 10^6 bytes", lambda _, bench: size_mb(bench), timed=True),
    "bench_valid": Gate(
        True,
        False,
        "the measurement is valid, and as long as its preset asks",
        lambda _, bench: fit_for_release(bench),
        timed=True,
        flag=True,
    ),
}
LIMITED = tuple(name for name, gate in GATES.items() if not gate.flag)

# Without self_miou: a class of a few pixels counts in it as much as the largest one, so that clean graphs of many
# classes lie below any limit that would find a fault.
DEFAULTS: dict[str, Limits] = {
    "fp32": {"agreement": 0.9999, "miou_delta": 0.0005, "relative_l2": 1e-4, "run_miou_delta": 0.02},
    "fp16": {
        "agreement": 0.999,
        "miou_delta": 0.002,
        "worst_class_delta": 0.005,
        "relative_l2": 5e-3,
        "run_miou_delta": 0.02,
    },
    "int8": {
        "agreement": 0.99,
        "miou_delta": 0.01,
        "worst_class_delta": 0.02,
        "cosine": 0.99,
        "run_miou_delta": 0.03,
    },
}


def limits_of(precision: str) -> Limits:
    """Gate -> limit that a variant's precision holds by default.

    Raises:
        SegkdError: for a precision without limits.
    """
    if precision not in DEFAULTS:
        raise SegkdError(f"no limits for precision {precision!r}; known: {', '.join(DEFAULTS)}")
    return dict(DEFAULTS[precision])
