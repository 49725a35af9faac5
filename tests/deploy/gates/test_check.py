from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from segkd.errors import SegkdError
from segkd_deploy.bench.settings import PRESETS
from segkd_deploy.gates import check_evidence, failed_gates, holds, loosened, miou

Rows = dict[str, dict[str, Any]]


def part(**changes: Any) -> dict[str, Any]:
    """What parity.json says of a variant that is good."""
    gates = [{"name": "agreement", "limit": 0.9999, "measured": 0.99995, "passed": True}]
    return {
        "agreement": 0.99995,
        "miou": {"source": 0.7, "graph": 0.6998, "delta": -0.0002},
        "per_class_delta": {"road": -0.004, "car": None},
        "per_class_interval": {"road": [-0.01, -0.003], "car": [None, None]},
        "self_miou": {"value": 0.98, "interval": [0.97, 0.99]},
        "logits": {"relative_l2": 1e-5, "cosine": 0.99999},
        "frames": 8,
        "logits_finite": True,
        "whole_set": {"miou": 0.65, "images": 500, "data": "cityscapes:data", "run": {"miou_delta": -0.01}},
        "gates": gates,
        **changes,
    }


def timed(**changes: Any) -> dict[str, Any]:
    method = {"settings": dataclasses.asdict(PRESETS["quick"])}
    base = {"latency_ms": {"p99": 20.0}, "artifact": {"bytes": 4_000_000}, "valid": True, "method": method}
    return {**base, **changes}


def rows(
    wanted: dict[str, float] | None = None,
    parity: dict[str, Any] | None = None,
    bench: dict[str, Any] | None = None,
    own: dict[str, float] | None = None,
    precision: str = "fp32",
) -> Rows:
    content = {"passed": True, "variants": {"a": parity or part()}}
    found = check_evidence({"a": precision}, own or {}, content, {"a": bench or timed()}, wanted or {})
    return {row["name"]: row for row in found}


def failed(found: Rows) -> list[str]:
    return [name for name, row in found.items() if not row["passed"]]


@pytest.mark.parametrize(
    ("name", "passing", "failing", "measured"),
    [
        ("miou_floor", 0.65, 0.6501, 0.65),
        ("miou_delta", 0.0002, 0.0001, -0.0002),
        ("agreement", 0.99995, 0.99996, 0.99995),
        ("worst_class_delta", 0.003, 0.0029, -0.003),
        ("self_miou", 0.99, 0.991, 0.99),
        ("relative_l2", 1e-5, 9e-6, 1e-5),
        ("cosine", 0.9999, 1.0, 0.99999),
        ("run_miou_delta", 0.01, 0.009, -0.01),
        ("p99_latency_ms", 20.0, 19.9, 20.0),
        ("size_mb", 4.0, 3.9, 4.0),
    ],
)
def test_every_gate_at_its_limit(name: str, passing: float, failing: float, measured: float) -> None:
    row = rows({name: passing})[name]
    assert (row["limit"], row["measured"], row["passed"], row["variant"]) == (passing, measured, True, "a")
    assert failed(rows({name: failing})) == [name]


@pytest.mark.parametrize(
    ("name", "measured", "precision", "passed"),
    [
        ("miou_delta", 0.02, "fp32", False),
        ("miou_delta", 0.02, "fp16", False),
        ("miou_delta", 0.02, "int8", True),
        ("miou_delta", -0.02, "int8", False),
        ("miou_delta", -0.01, "int8", True),
        ("worst_class_delta", -0.02, "fp16", False),
        ("run_miou_delta", -0.02, "fp32", False),
        ("run_miou_delta", 0.2, "fp32", True),
        ("miou_delta", math.nan, "int8", False),
        ("relative_l2", 0.005, "fp32", True),
        ("relative_l2", None, "fp32", False),
    ],
)
def test_a_gain_of_miou_is_a_fault_only_where_nothing_should_change(
    name: str, measured: float | None, precision: str, passed: bool
) -> None:
    assert holds(name, 0.01, measured, precision) is passed


def test_floors() -> None:
    assert holds("agreement", 0.99, 0.991, "fp32") and not holds("agreement", 0.99, 0.989, "fp32")


def test_the_strictest_of_default_manifest_validate_and_file_holds() -> None:
    assert rows()["agreement"]["limit"] == 0.9999
    assert rows({"agreement": 0.9})["agreement"]["limit"] == 0.9999
    assert rows({"agreement": 0.99991})["agreement"]["limit"] == 0.99991
    assert rows(own={"a.agreement": 0.99992})["agreement"]["limit"] == 0.99992
    assert rows({"agreement": 0.9}, own={"fp32.agreement": 0.99992})["agreement"]["limit"] == 0.99992
    asked = [{"name": "agreement", "limit": 0.99999, "measured": 0.99995, "passed": False}]
    assert failed(rows({"agreement": 0.9}, part(gates=asked))) == ["agreement"]


def test_a_recipe_may_set_another_limit_and_validate_and_release_agree() -> None:
    loose = [{"name": "agreement", "limit": 0.98, "measured": 0.985, "passed": True}]
    found = rows(parity=part(gates=loose, agreement=0.985), own={"agreement": 0.98})
    assert found["agreement"]["limit"] == 0.98 and failed(found) == []


def test_a_loose_limit_on_the_command_line_of_validate_does_not_pass_here() -> None:
    loose = [{"name": "agreement", "limit": 0.5, "measured": 0.6, "passed": True}]
    assert failed(rows({"agreement": 0.1}, part(gates=loose, agreement=0.6))) == ["agreement"]


def test_limits_of_the_file_that_change_nothing_are_named() -> None:
    said = loosened({"a": "fp32", "b": "int8"}, {"int8.agreement": 0.97}, {"agreement": 0.98, "size_mb": 3.0})
    assert said == ["a agreement: 0.9999 holds, which is stricter than the file's 0.98"]


@pytest.mark.parametrize("name", ["worst_class_delta", "cosine", "agreement", "a_gate_of_tomorrow"])
def test_what_validate_refused_is_refused(name: str) -> None:
    limit = 0.9 if name in ("cosine", "agreement") else 0.5
    refused = [{"name": name, "limit": limit, "measured": 0.99, "passed": False}]
    assert failed(rows({"size_mb": 5.0}, part(gates=refused))) == [name]


@pytest.mark.parametrize("gates", [None, [], "yes", [3]])
def test_evidence_without_rows_is_no_evidence(gates: Any) -> None:
    with pytest.raises(SegkdError, match=r"parity\.json has no gates of a; make it again with `segkd validate`"):
        rows(parity=part(gates=gates))


def test_evidence_that_contradicts_itself_is_refused() -> None:
    content = {"passed": False, "variants": {"a": part()}}
    with pytest.raises(SegkdError, match="says that it did not pass, but no row of it does"):
        check_evidence({"a": "fp32"}, {}, content, {"a": timed()}, {})


def test_defaults_that_were_not_measured_have_no_row_but_what_was_asked_fails() -> None:
    seen = part(logits=None, logits_finite=None, whole_set=None)
    assert not {"relative_l2", "run_miou_delta", "logits_finite"} & rows(parity=seen).keys()
    assert failed(rows({"relative_l2": 1.0, "run_miou_delta": 0.5}, seen)) == ["relative_l2", "run_miou_delta"]


def test_what_was_not_measured_does_not_pass() -> None:
    seen = part(miou={"source": None, "graph": None, "delta": None}, whole_set=None)
    assert failed(rows({"miou_floor": 0.0}, seen)) == ["miou_floor", "miou_delta"]


def test_infinite_logits_and_measurements_that_are_not_valid_always_fail() -> None:
    assert failed(rows(parity=part(logits_finite=False), bench=timed(valid=False))) == ["logits_finite", "bench_valid"]


@pytest.mark.parametrize("change", [{"iterations": 5}, {"duration_s": 1.0}])
def test_a_measurement_shorter_than_its_preset_is_named(change: dict[str, Any]) -> None:
    settings = {**dataclasses.asdict(PRESETS["quick"]), **change}
    bench = timed(method={"settings": settings})
    found = rows(bench=bench)
    assert failed(found) == ["bench_valid"]
    (said,) = failed_gates(list(found.values()), {"a": bench})
    assert said.startswith("a bench_valid (") and "were asked for, and preset quick takes" in said


def test_the_floor_uses_the_whole_set_if_there_is_one() -> None:
    assert miou(part()) == (0.65, "500 images of cityscapes:data")
    assert miou(part(whole_set=None)) == (0.6998, "8 reference frames")


@pytest.mark.parametrize("change", [{"miou": 3}, {"per_class_interval": {}}, {"whole_set": {"miou": "high"}}])
def test_evidence_of_another_shape_is_one_line(change: dict[str, Any]) -> None:
    with pytest.raises(SegkdError, match="is not what segkd writes"):
        rows({"miou_floor": 0.5}, part(**change))
