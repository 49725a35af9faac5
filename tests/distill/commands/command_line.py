"""The command line in this process, as the console script runs it."""

from __future__ import annotations

from pathlib import Path

import click
from click.testing import CliRunner, Result

from segkd import cli


def segkd(*arguments: object) -> Result:
    """Run the command line as the console script does: one line for an error, and its exit code."""

    @click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def main(words: tuple[str, ...]) -> None:
        cli.main(list(words))

    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def small(streets: Path, out: Path) -> list[object]:
    options = ["--data", f"cityscapes:{streets}", "--student", "quickstart-mv2", "--imgsz", "32x64", "--batch", 2]
    return [*options, "--iters", 2, "--device", "cpu", "--out", out]
