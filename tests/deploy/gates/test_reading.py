from __future__ import annotations

from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_deploy.gates import check_limits, chosen, limits_of, load_gates, parse_gates
from segkd_deploy.gates.example import EXAMPLE

VARIANTS = {"fp32": "fp32", "int8": "int8", "int8-cpu": "int8"}


def test_limits() -> None:
    assert (limits_of("fp32")["agreement"], limits_of("fp32")["miou_delta"]) == (0.9999, 0.0005)
    assert limits_of("int8")["cosine"] == 0.99
    with pytest.raises(SegkdError, match="no limits for precision 'fp8'; known: fp32, fp16, int8"):
        limits_of("fp8")


def test_the_nearest_limit_wins() -> None:
    wanted = parse_gates(["int8-cpu.agreement=0.97", "int8.agreement=0.98", "agreement=0.5", "int8.self_miou=0.9"])
    check_limits(wanted, VARIANTS)
    found = {name: chosen(name, precision, wanted) for name, precision in VARIANTS.items()}
    assert [found[name]["agreement"] for name in VARIANTS] == [0.5, 0.98, 0.97]
    assert found["int8-cpu"]["self_miou"] == 0.9 and list(found["fp32"]) == ["agreement"]


@pytest.mark.parametrize("text", ["agreement", "agreement=", "agreement=high", "=0.9x"])
def test_text_that_is_no_limit(text: str) -> None:
    with pytest.raises(SegkdError, match=r"expected GATE=LIMIT, as in --gate fp16.agreement=0.999"):
        parse_gates([text])


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("agrement=0.9", "gate agrement: unknown gate 'agrement'; did you mean 'agreement'"),
        ("int9.agreement=0.9", "gate int9.agreement: unknown precision or variant 'int9'"),
        ("agreement=-1", "gate agreement: expected a number of at least 0, got -1"),
        ("agreement=nan", "gate agreement: expected a number of at least 0, got nan"),
        ("agreement=98", "gate agreement: agreement is 0..1, got 98; 98 % is 0.98$"),
        ("agreement=2", "gate agreement: agreement is 0..1, got 2; 2 % is 0.02$"),
        ("int8.self_miou=101", "gate int8.self_miou: self_miou is 0..1, got 101$"),
        ("fp16.miou_delta=1.5", "miou_delta is 0..1, got 1.5"),
        ("worst_class_delta=5", "worst_class_delta is 0..1, got 5"),
        ("cosine=1.01", "cosine is 0..1, got 1.01"),
    ],
)
def test_unknown_names_and_numbers(gate: str, message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        check_limits(parse_gates([gate]), VARIANTS)


def test_ends_of_shares_and_distances_above_1_are_limits() -> None:
    check_limits({"agreement": 1.0, "int8.cosine": 0.0, "relative_l2": 7.5}, VARIANTS)


def test_limits_for_precisions_that_are_not_there_change_nothing() -> None:
    check_limits({"fp16.agreement": 0.5}, ["fp32"])
    assert chosen("fp32", "fp32", {"fp16.agreement": 0.5}) == {}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gates.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "miou_floor: 0.5\nvariants:\n  int8: {miou_floor: 0.45, agreement: 0.99}\n",
        "miou_floor: 0.5\nint8: {miou_floor: 0.45, agreement: 0.99}\n",
        "{miou_floor: 0.5, int8.miou_floor: 0.45, int8.agreement: 0.99}",
    ],
)
def test_a_file_has_limits_for_all_and_for_some(tmp_path: Path, text: str) -> None:
    wanted = load_gates(write(tmp_path, text), VARIANTS)
    assert wanted == {"miou_floor": 0.5, "int8.miou_floor": 0.45, "int8.agreement": 0.99}
    assert chosen("int8-cpu", "int8", wanted) == {"miou_floor": 0.45, "agreement": 0.99}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("miou_flor: 0.5", "miou_flor: unknown gate 'miou_flor'; did you mean 'miou_floor'"),
        ("variants: {fp32: {agrement: 1}}", r"fp32\.agrement: .*did you mean 'agreement'"),
        ("agreement: 1\nvariants: {fp23: {}}", "unknown precision or variant 'fp23'; did you mean 'fp32'"),
        ("fp23: {agreement: 1}", "unknown precision or variant 'fp23'; did you mean 'fp32'"),
        ("agreement: 99.9", r"agreement is 0\.\.1, got 99.9; 99.9 % is 0.999"),
        ("agreement: high", "expected a number of at least 0, got 'high'"),
        ("agreement: true", "expected a number of at least 0, got True"),
        ("p99_latency_ms: -1", "expected a number of at least 0, got -1"),
        ("size_mb: .nan", "expected a number of at least 0, got nan"),
        ("bench_valid: 0", "unknown gate 'bench_valid'"),
        ("variants: 3", "expected a mapping variant -> gates"),
        ("variants: {fp32: 3}", r"variants\.fp32: expected a mapping gate -> limit"),
        ("fp32: 3", "fp32: expected a mapping gate -> limit"),
        ("{fp32.agreement: 1, fp32: {agreement: 1}}", r"fp32\.agreement: there are two limits for it"),
        ("", "expected gates such as"),
        ("- agreement", "expected gates such as"),
        ("a: [", r"gates\.yaml"),
    ],
)
def test_refuses_a_bad_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SegkdError, match=message) as error:
        load_gates(write(tmp_path, text), VARIANTS)
    assert error.value.exit_code == 2 and "gates.yaml" in str(error.value)


def test_a_missing_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match=r"gone\.yaml: there is no such file; `segkd release gates > gone\.yaml`"):
        load_gates(tmp_path / "gone.yaml", VARIANTS)


def test_the_example_is_read_and_no_looser_than_what_holds(tmp_path: Path) -> None:
    wanted = load_gates(write(tmp_path, EXAMPLE), VARIANTS)
    for precision in ("fp32", "fp16", "int8"):
        default, asked = limits_of(precision), chosen(precision, precision, wanted)
        assert {name: asked[name] for name in asked if name in default}.items() <= default.items()
        assert {"miou_floor", "p99_latency_ms", "size_mb"} <= asked.keys()
