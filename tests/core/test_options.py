from __future__ import annotations

import json
import math
from collections.abc import Iterator

import click
import numpy as np
import pytest
from click.testing import CliRunner

from segkd.cli import cli
from segkd.options import IMGSZ, Number, json_option, parse_size, print_json, set_option


@pytest.mark.parametrize(
    ("text", "size"), [("96x192", (96, 192)), ("512X1024", (512, 1024)), ("1x1", (1, 1)), ("96", (96, 96))]
)
def test_size_is_height_then_width(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "96,192", "x192", "96x", "0x192", "96x-1", "96x192x3", "9.5x10", "axb"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="HEIGHTxWIDTH"):
        parse_size(text)


@click.command()
@click.option("--imgsz", type=IMGSZ, default="8x16")
@json_option
@set_option
def show(imgsz: tuple[int, int], as_json: bool, overrides: tuple[str, ...]) -> None:
    print_json({"imgsz": imgsz, "json": as_json, "set": overrides})


def test_options_reach_the_command() -> None:
    result = CliRunner().invoke(show, ["--json", "--imgsz", "96x192", "--set", "a.b=1", "--set", "c=2"])
    assert json.loads(result.output) == {"imgsz": [96, 192], "json": True, "set": ["a.b=1", "c=2"]}


def test_defaults() -> None:
    result = CliRunner().invoke(show, [])
    assert json.loads(result.output) == {"imgsz": [8, 16], "json": False, "set": []}


def test_a_bad_size_is_a_usage_error() -> None:
    result = CliRunner().invoke(show, ["--imgsz", "96,192"])
    assert result.exit_code == 2
    assert "'96,192' is no size; write HEIGHTxWIDTH in pixels" in result.stderr


def test_json_has_null_for_nan_and_plain_numbers_for_numpy(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"nan": math.nan, "array": np.array([1.5, math.inf]), "int": np.int64(3)})
    assert json.loads(capsys.readouterr().out) == {"nan": None, "array": [1.5, None], "int": 3}


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def test_every_number_on_a_command_line_is_finite() -> None:
    numbers = [(path, option) for path, command in commands(cli) for option in command.params]
    types = {f"{path} {option.name}": option.type for path, option in numbers}
    floats = {place: kind for place, kind in types.items() if isinstance(kind, click.types.FloatParamType)}
    assert "bench duration_s" in floats and len(floats) > 10
    assert [place for place, kind in floats.items() if not isinstance(kind, Number)] == []


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_no_finite_number(value: str) -> None:
    with pytest.raises(click.BadParameter):
        Number(min=0).convert(value, None, None)
    with pytest.raises(click.BadParameter, match="expected a finite number"):
        Number().convert(value, None, None)
