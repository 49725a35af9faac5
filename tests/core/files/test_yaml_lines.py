from __future__ import annotations

import pytest
import yaml

from segkd.errors import SegkdError
from segkd.files.yaml_lines import dotted, parse_scalar, read_yaml, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5e-4", 0.0005),
        (".5", 0.5),
        ("1.", 1.0),
        ("-3", -3),
        ("0", 0),
        ("010", "010"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("off", "off"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("2026-11-20", "2026-11-20"),
        ("'1'", "1"),
        ("96x192", "96x192"),
        ("[1, a]", [1, "a"]),
    ],
)
def test_scalars_are_read_as_meant(text: str, value: object) -> None:
    found = parse_scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_every_key_and_item_has_its_line() -> None:
    value, lines = read_yaml("a:\n  b: 1\n\nc:\n- d\n- e: {f: 2}\n", "x.yaml")
    assert value == {"a": {"b": 1}, "c": ["d", {"e": {"f": 2}}]}
    assert lines == {
        ("a",): 1,
        ("a", "b"): 2,
        ("c",): 4,
        ("c", 0): 5,
        ("c", 1): 6,
        ("c", 1, "e"): 6,
        ("c", 1, "e", "f"): 6,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"^x.yaml:3: a: written twice, first in line 1$"),
        ("a:\n  b: 1\n  b: 1\n", r"^x.yaml:3: a.b: written twice, first in line 2$"),
        ("a: 1\n3: 2\n", r"^x.yaml:2: a key must be text, got 3"),
        ("a: [1,\nb: 2\n", r"^x.yaml:\d: not valid YAML"),
        ("a: 1\n\tb: 2\n", r"^x.yaml:2: not valid YAML"),
        ("a: &x [*x]\n", r"^x.yaml:1: an alias that contains itself"),
        ("a: 1\n---\nb: 2\n", r"^x.yaml:2: not valid YAML"),
        ("a: !!python/object:os.system {}\n", r"^x.yaml:1: the tag \S+os.system is not read"),
        ("a: !!int abc\n", r"^x.yaml:1: 'abc' is no int"),
        ("a: !!bool perhaps\n", r"^x.yaml:1: 'perhaps' is no bool"),
        (f"a: 1{'0' * 5000}\n", r"^x.yaml:1: a number of 5001 digits"),
        (f"a: {'[' * 100_000}\n", r"^x.yaml:1: not valid YAML: more than 64 levels"),
        ("a: {}\nb: b\0d\n", r"^x.yaml: not valid YAML: unacceptable character"),
        (f"a: [{'0, ' * 50_000}]\n", r"^x.yaml:1: not valid YAML: more than 20000 values"),
    ],
)
def test_errors_have_their_place(text: str, message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        read_yaml(text, "x.yaml")


def test_aliases_cannot_multiply_without_end() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 12):
        bomb += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    with pytest.raises(SegkdError, match=r"^x.yaml:1: more than 20000 values, with those behind aliases"):
        read_yaml(bomb, "x.yaml")
    with pytest.raises(yaml.YAMLError, match="20000 values"):
        parse_scalar("{" + ", ".join(bomb.splitlines()) + "}")


def test_a_tagged_scalar_builds_no_object() -> None:
    with pytest.raises(SegkdError, match=r"^x.yaml:1: not valid YAML: could not determine a constructor"):
        read_yaml("a: !!python/name:os.system ''\n", "x.yaml")


def test_an_anchor_may_be_used_twice() -> None:
    assert read_yaml("a: &x {b: 1}\nc: *x\n", "x.yaml")[0] == {"a": {"b": 1}, "c": {"b": 1}}


def test_empty_text_is_none() -> None:
    assert read_yaml("# nothing\n", "x.yaml") == (None, {})


VALUES = {"amp": "off", "like a number": "1e-3", "lr": 1e-05, "size": [96, 192], "parts": ["a", {"b": {"c": None}}]}


def test_written_values_read_back_equal() -> None:
    assert read_yaml(write_yaml(VALUES), "x.yaml")[0] == VALUES


def test_lists_of_scalars_take_one_line_and_keys_keep_their_order() -> None:
    lines = write_yaml(VALUES).splitlines()
    assert lines[0] == "amp: 'off'"
    assert "size: [96, 192]" in lines


def test_dotted() -> None:
    assert dotted(("methods", 0, "cwd")) == "methods.0.cwd"
