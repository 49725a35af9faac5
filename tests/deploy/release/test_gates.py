from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segkd.errors import SegkdError
from segkd_deploy.artifact import open_artifact
from segkd_deploy.evidence import Evidence
from segkd_deploy.release.gates import Limits, check_gates, load_gates, miou


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gates.yaml"
    path.write_text(text)
    return path


def evidence(parity: dict[str, Any] | None = None, bench: dict[str, Any] | None = None) -> Evidence:
    part = {
        "agreement": 0.99995,
        "miou": {"source": 0.7, "graph": 0.6998, "delta": -0.0002},
        "frames": 8,
        "logits_finite": True,
        "whole_set": {"miou": 0.65, "images": 500, "data": "cityscapes:data"},
        **(parity or {}),
    }
    timed = {"latency_ms": {"p99": 20.0}, "artifact": {"bytes": 4_000_000}, "valid": True, **(bench or {})}
    return Evidence({"variants": {"fp32": part}}, {"fp32": timed}, [])


def rows(pristine: Path, limits: dict[str, float], seen: Evidence) -> dict[str, dict[str, Any]]:
    table = check_gates(open_artifact(pristine), seen, Limits(limits, {}), ["fp32"])
    return {row["name"]: row for row in table}


def test_reads_limits_and_those_of_one_variant(tmp_path: Path) -> None:
    path = write(tmp_path, "miou_floor: 0.5\nsize_mb: 5\nvariants:\n  int8: {miou_floor: 0.45, agreement: 0.99}\n")
    limits = load_gates(path, ["fp32", "int8"])
    assert limits.of("fp32") == {"miou_floor": 0.5, "size_mb": 5.0}
    assert limits.of("int8") == {"miou_floor": 0.45, "size_mb": 5.0, "agreement": 0.99}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("miou_flor: 0.5", "miou_flor: unknown gate 'miou_flor'; did you mean 'miou_floor'"),
        ("variants: {fp32: {agrement: 1}}", r"variants\.fp32\.agrement: .*did you mean 'agreement'"),
        ("agreement: 1\nvariants: {fp23: {}}", "unknown variant 'fp23'; did you mean 'fp32'"),
        ("agreement: 99.9", r"agreement: expected a fraction 0\.\.1, got 99.9"),
        ("agreement: high", "expected a number of at least 0, got 'high'"),
        ("agreement: true", "expected a number of at least 0, got True"),
        ("p99_latency_ms: -1", "expected a number of at least 0, got -1"),
        ("size_mb: .nan", "expected a number of at least 0, got nan"),
        ("variants: 3", "expected a mapping variant -> gates"),
        ("variants: {fp32: 3}", r"variants\.fp32: expected a mapping gate -> limit"),
        ("", "expected gates such as"),
        ("- agreement", "expected gates such as"),
        ("a: [", "not valid YAML"),
    ],
)
def test_refuses_a_bad_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SegkdError, match=message) as error:
        load_gates(write(tmp_path, text), ["fp32"])
    assert error.value.exit_code == 2 and "gates.yaml" in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match=r"gone\.yaml: cannot be read"):
        load_gates(tmp_path / "gone.yaml", ["fp32"])


@pytest.mark.parametrize(
    ("name", "passing", "failing", "measured"),
    [
        ("miou_floor", 0.65, 0.6501, 0.65),
        ("miou_delta", 0.0002, 0.0001, 0.0002),
        ("agreement", 0.99995, 0.99996, 0.99995),
        ("p99_latency_ms", 20.0, 19.9, 20.0),
        ("size_mb", 4.0, 3.9, 4.0),
    ],
)
def test_every_gate_at_its_limit(pristine: Path, name: str, passing: float, failing: float, measured: float) -> None:
    row = rows(pristine, {name: passing}, evidence())[name]
    assert row == {"variant": "fp32", "name": name, "limit": passing, "measured": measured, "passed": True}
    assert not rows(pristine, {name: failing}, evidence())[name]["passed"]


def test_a_gain_is_no_loss(pristine: Path) -> None:
    row = rows(pristine, {"miou_delta": 0.0}, evidence({"miou": {"source": 0.7, "graph": 0.8, "delta": 0.1}}))
    assert row["miou_delta"]["measured"] == 0.0 and row["miou_delta"]["passed"]


def test_parity_limits_hold_unless_the_file_names_them(pristine: Path) -> None:
    seen = evidence({"agreement": 0.9998})
    default = rows(pristine, {"size_mb": 5.0}, seen)["agreement"]
    assert (default["limit"], default["passed"]) == (0.9999, False)
    assert rows(pristine, {"agreement": 0.999}, seen)["agreement"]["passed"]


def test_invalid_bench_and_nan_logits_always_fail(pristine: Path) -> None:
    table = rows(pristine, {"size_mb": 5.0}, evidence({"logits_finite": False}, {"valid": False}))
    assert [name for name, row in table.items() if not row["passed"]] == ["logits_finite", "bench_valid"]


def test_what_was_not_measured_does_not_pass(pristine: Path) -> None:
    seen = evidence({"miou": {"source": None, "graph": None, "delta": None}, "whole_set": None})
    table = rows(pristine, {"miou_floor": 0.0}, seen)
    assert not table["miou_floor"]["passed"] and not table["miou_delta"]["passed"]


def test_floor_uses_the_whole_set_if_there_is_one() -> None:
    seen = evidence()
    assert miou(seen.parity["variants"]["fp32"]) == (0.65, "500 images of cityscapes:data")
    seen = evidence({"whole_set": None})
    assert miou(seen.parity["variants"]["fp32"]) == (0.6998, "8 reference frames")
