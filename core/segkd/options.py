"""Command-line options that more than one command has, so that they look and fail alike everywhere."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def parse_size(text: str) -> tuple[int, int]:
    """``HxW`` as (height, width) in pixels; one number is a square.

    Raises:
        ValueError: if it is neither one positive whole number nor two with an ``x`` between.
    """
    numbers = [number.strip() for number in text.lower().split("x")]
    if len(numbers) > 2 or not all(number.isdecimal() and int(number) for number in numbers):
        raise ValueError(f"{text!r} is no size; write HEIGHTxWIDTH in pixels, as in 512x1024, or one number")
    return int(numbers[0]), int(numbers[-1])


class SizeType(click.ParamType):  # type: ignore[type-arg]  # older click cannot index it
    """``HxW`` or one number, giving (height, width) in pixels."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Turn the text into two numbers; a bad one is a usage error (exit 2)."""
        if isinstance(value, tuple):
            return value
        try:
            return parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


IMGSZ = SizeType()


class Number(click.FloatRange):
    """A number within limits; nan and infinities, which pass click's comparisons, are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; a bad one is a usage error (exit 2)."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a finite number, got {value}", param, ctx)
        return number


class Destination(click.Path):
    """A folder or file to write, tried while the command line is read: before any work, before any heavy import."""

    def __init__(self, *, file: bool = False) -> None:
        super().__init__(path_type=Path)
        self.is_file = file

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, once something could be written there.

        Raises:
            SegkdError: naming the place and the reason.
        """
        from segkd.files.destinations import require_writable_file, require_writable_folder

        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        (require_writable_file if self.is_file else require_writable_folder)(path)
        return path


OUT_FOLDER, OUT_FILE = Destination(), Destination(file=True)


def json_option(command: Command) -> Command:
    """Add ``--json``, given to the command as ``as_json: bool``."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(command)


def set_option(command: Command) -> Command:
    """Add the repeatable ``--set a.b=c``, given to the command as ``overrides: tuple[str, ...]``."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override a key of the recipe, as in --set train.iters=100; may be repeated.",
    )(command)


def class_map_option(command: Command) -> Command:
    """Add ``--class-map``, given to the command as ``class_map: str | None``; ``segkd.recipe.class_map`` reads it."""
    return click.option(
        "--class-map",
        metavar="FILE|NAME=NAME[,...]",
        help="Which class of the data each of the network's becomes; void=ignore leaves one out.",
    )(command)


def print_json(obj: Any) -> None:
    """Print a result as JSON on stdout; nan and infinities become null."""
    from segkd.files import finite

    click.echo(json.dumps(finite(obj), indent=2, allow_nan=False))
