"""``segkd list``: what can be named on the command line; each table is printed by the room that has it."""

from __future__ import annotations

import importlib

import click

from segkd.errors import unknown_name

SUBCOMMANDS: dict[str, str] = {
    "methods": "segkd_distill.commands.list_methods:list_methods",
    "models": "segkd_distill.commands.list_models:list_models",
    "datasets": "segkd.commands.list_datasets:list_datasets",
    "recipes": "segkd.commands.list_recipes:list_recipes",
}
SUMMARIES: dict[str, str] = {
    "methods": "Distillation methods.",
    "models": "Networks, with their size.",
    "datasets": "Data sets, with their options.",
    "recipes": "Recipes that come with segkd.",
}


class ListGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the table's order."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command behind a name."""
        if name not in SUBCOMMANDS:
            return None
        module, attribute = SUBCOMMANDS[name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, with the nearest name for a misspelt one."""
        if args and args[0] not in SUBCOMMANDS:
            raise click.UsageError(str(unknown_name("list", args[0], SUBCOMMANDS)), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the summaries without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


@click.group(
    "list",
    cls=ListGroup,
    short_help="List methods, models, data sets and recipes.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
def list_() -> None:
    """List methods, models, data sets and recipes."""
