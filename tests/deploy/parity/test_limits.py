from __future__ import annotations

import math

import pytest

from segkd.errors import SegkdError
from segkd_deploy.parity import limits_of, parse_gates
from segkd_deploy.parity.limits import check, check_gates, chosen

VARIANTS = {"fp32": "fp32", "int8": "int8", "int8-cpu": "int8"}


def test_limits() -> None:
    assert (limits_of("fp32").agreement, limits_of("fp32").miou_delta) == (0.9999, 0.0005)
    assert limits_of("int8").to_dict()["cosine"] == 0.99
    with pytest.raises(SegkdError, match="no limits for precision 'fp8'; known: fp32, fp16, int8"):
        limits_of("fp8")


def test_the_nearest_limit_wins() -> None:
    wanted = parse_gates(["int8-cpu.agreement=0.97", "int8.agreement=0.98", "agreement=0.5", "int8.self_miou=0.9"])
    check_gates(wanted, VARIANTS)
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
        check_gates(parse_gates([gate]), VARIANTS)


def test_ends_of_shares_and_distances_above_1_are_limits() -> None:
    check_gates({"agreement": 1.0, "int8.cosine": 0.0, "relative_l2": 7.5}, VARIANTS)


def test_limits_for_precisions_that_are_not_there_change_nothing() -> None:
    check_gates({"fp16.agreement": 0.5}, ["fp32"])
    assert chosen("fp32", "fp32", {"fp16.agreement": 0.5}) == {}


@pytest.mark.parametrize(
    ("name", "measured", "gain_counts", "passed"),
    [
        ("miou_delta", 0.02, True, False),
        ("miou_delta", 0.02, False, True),
        ("miou_delta", -0.02, False, False),
        ("miou_delta", -0.01, False, True),
        ("worst_class_delta", -0.02, False, False),
        ("miou_delta", math.nan, False, False),
        ("relative_l2", 0.005, False, True),
        ("relative_l2", None, False, False),
    ],
)
def test_a_gain_of_miou_is_a_fault_only_where_nothing_should_change(
    name: str, measured: float | None, gain_counts: bool, passed: bool
) -> None:
    assert check(name, 0.01, measured, gain_counts)["passed"] is passed


def test_floors() -> None:
    assert check("agreement", 0.99, 0.991)["passed"] and not check("agreement", 0.99, 0.989)["passed"]
