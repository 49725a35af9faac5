"""The front door: a table of commands, each imported only when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from segkd.ending.stopping import ends_cleanly

COMMANDS: dict[str, str] = {
    "quickstart": "segkd.commands.quickstart:quickstart",
    "train": "segkd_distill.commands.train:train",
    "distill": "segkd_distill.commands.distill:distill",
    "eval": "segkd.commands.eval:evaluate",
    "export": "segkd_export.commands.export:export",
    "lint": "segkd_export.commands.lint:lint",
    "build": "segkd_deploy.commands.build:build",
    "validate": "segkd_deploy.commands.validate:validate",
    "bench": "segkd_deploy.commands.bench:bench",
    "deploy": "segkd_deploy.commands.deploy:deploy",
    "predict": "segkd_deploy.commands.predict:predict",
    "compare": "segkd_deploy.commands.compare:compare",
    "release": "segkd_deploy.commands.release:release",
    "report": "segkd.commands.report:report",
    "data": "segkd.commands.data:data",
    "model": "segkd_distill.commands.model:model",
    "weights": "segkd_distill.commands.weights:weights",
    "recipe": "segkd.commands.recipe:recipe",
    "list": "segkd.commands.list:list_",
    "doctor": "segkd.commands.doctor:doctor",
}

# One line each, so that `segkd --help` imports no command; a test compares them with the commands' own help.
SUMMARIES: dict[str, str] = {
    "quickstart": "Run the whole chain on built-in street scenes.",
    "train": "Train a network on labelled data alone.",
    "distill": "Train a student from a teacher.",
    "eval": "Score a run, a checkpoint or an artifact on a data set.",
    "export": "Write a run's complete ONNX graphs and their reference.",
    "lint": "Check ONNX graphs for a chip, without a GPU.",
    "build": "Build TensorRT engines of exported graphs.",
    "validate": "Compare exported graphs with their source.",
    "bench": "Measure latency, memory and cold start.",
    "deploy": "Copy, validate and bench on devices.",
    "predict": "Label pictures and videos with an artifact.",
    "compare": "Compare runs, variants and devices.",
    "release": "Create and verify gated release bundles.",
    "report": "Draw a report from the files of a workflow.",
    "data": "Make and check data sets.",
    "model": "Say what a weights file is.",
    "weights": "List and fetch published weights.",
    "recipe": "Show, copy and check recipes.",
    "list": "List methods, models, data sets and recipes.",
    "doctor": "Show what this machine has.",
}

# Set by a shell that asks click what could follow.
COMPLETION = "_SEGKD_COMPLETE"
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called.

    Args:
        table: name -> ``module:attribute`` of the command, in the order of the help.
        summaries: name -> one line of the help.
        kind: what an unknown name is called.
    """

    def __init__(
        self, *args: Any, table: Mapping[str, str], summaries: Mapping[str, str], kind: str = "command", **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.table, self.summaries, self.kind = table, summaries, kind

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the table's order."""
        return list(self.table)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command behind a name."""
        if name not in self.table:
            return None
        module, attribute = self.table[name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, with the nearest name for a misspelt one."""
        if args and args[0] not in self.table and not args[0].startswith("-"):
            from segkd.errors import unknown_name

            raise click.UsageError(str(unknown_name(self.kind, args[0], self.table)), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the summaries without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summaries[name]) for name in self.table])


@click.group(cls=LazyGroup, table=COMMANDS, summaries=SUMMARIES, context_settings=CONTEXT_SETTINGS)
@click.version_option(package_name="segkd", message="segkd %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error; may stand anywhere.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Distil, export, validate, benchmark and release segmentation models.

    Exit codes: 0 done, 1 a gate failed, 2 something must be changed, 3 a backend or device is missing, 70 a bug, 130
    and 143 stopped by Ctrl-C and SIGTERM.
    """
    ctx.obj = {"debug": debug}


def run(arguments: list[str]) -> None:
    """Run one command in this process and leave its exceptions as they are.

    Not click's ``main``, which answers Ctrl-C and closed pipes with 1, the exit code of a failed gate.
    """
    with cli.make_context("segkd", list(arguments)) as context:
        cli.invoke(context)


def main(args: list[str] | None = None) -> None:
    """Run the command line; whatever is raised becomes one line and an exit code (:mod:`segkd.ending.exceptions`)."""
    given = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in given
    arguments = [word for word in given if word != "--debug"]
    try:
        with ends_cleanly():
            if COMPLETION in os.environ:
                cli.main(arguments, prog_name="segkd")
            run(arguments)
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        from segkd.ending.exceptions import finish

        sys.exit(finish(error, debug))
    sys.exit(0)
