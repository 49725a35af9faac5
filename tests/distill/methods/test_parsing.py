from __future__ import annotations

from typing import Any

import pytest

from segkd.errors import SegkdError
from segkd_distill.methods.parsing import parse_methods


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        (["cwd"], [("cwd", {})]),
        (["cwd+kd:0.5"], [("cwd", {}), ("kd", {"weight": 0.5})]),
        ([" cwd : 2 + kd "], [("cwd", {"weight": 2.0}), ("kd", {})]),
        (["cwd@2 + kd:0.5"], [("cwd", {"balance": 2.0}), ("kd", {"weight": 0.5})]),
        (["kd", "cwd:0"], [("kd", {}), ("cwd", {"weight": 0.0})]),
        ([{"cwd": {}}, {"kd": {"weight": 0.5}}], [("cwd", {}), ("kd", {"weight": 0.5})]),
        ([{"cwd": {"on": "both", "weight": 3}}], [("cwd", {"on": "both", "weight": 3.0})]),
        ([{"cwd": {"balance": 3}}], [("cwd", {"balance": 3.0})]),
        ([{"cwd": None}, "kd"], [("cwd", {}), ("kd", {})]),
        ([], []),
    ],
)
def test_parse(specs: list[Any], expected: list[tuple[str, dict[str, Any]]]) -> None:
    assert parse_methods(specs) == expected


def test_parse_leaves_the_recipe_alone() -> None:
    hyper: dict[str, Any] = {"temperature": 2.0}
    parse_methods([{"kd": hyper}])
    assert hyper == {"temperature": 2.0}


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["cwdd"], "unknown method 'cwdd'; did you mean 'cwd'"),
        (["cwd+kd+cwd:2"], "method cwd is given twice"),
        (["cwd", {"cwd": {}}], "method cwd is given twice"),
        (["cwd:heavy"], "the weight of method cwd must be a number, got 'heavy'"),
        (["cwd:"], "the weight of method cwd must be a number, got ''"),
        (["cwd:-1"], "the weight of method cwd must be a number of at least 0, got -1.0"),
        (["cwd:nan"], "the weight of method cwd must be a number of at least 0, got nan"),
        (["cwd@heavy"], "the balance of method cwd must be a number, got 'heavy'"),
        (["cwd@-1"], "the balance of method cwd must be a number of at least 0, got -1.0"),
        (["cwd,kd"], r"methods are joined by \+: write cwd\+kd, not 'cwd,kd'"),
        (["cwd kd:2; brd"], r"methods are joined by \+: write cwd\+kd:2\+brd"),
        (["my_kd:MyKD"], "'my_kd:MyKD': methods from outside segkd are not taken"),
        (["package.my_kd:MyKD"], "methods from outside segkd are not taken"),
        (["cwd++kd"], r"methods are written NAME\[:WEIGHT|@SHARE\]"),
        ([""], r"methods are written NAME\[:WEIGHT|@SHARE\]"),
        ([{"cwd": {"weight": 1, "balance": 1}}], "method cwd: weight fixes the factor, balance lets it follow"),
        ([{"cwd": {}, "kd": {}}], "one method per entry of the list expected, got cwd, kd"),
        ([{"cwd": {"student": 1}}], "student is no hyper-parameter of method cwd"),
        ([{"cwd": 0.5}], "method cwd expects hyper-parameters by name"),
        ([{"cwd": {"weight": "big"}}], "the weight of method cwd must be a number of at least 0, got 'big'"),
    ],
)
def test_parse_refuses(specs: list[Any], message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        parse_methods(specs)
