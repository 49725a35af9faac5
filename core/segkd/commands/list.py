"""``segkd list``: what can be named on the command line; each table is printed by the room that has it."""

from __future__ import annotations

import click

from segkd.cli import CONTEXT_SETTINGS, LazyGroup

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


@click.group(
    "list",
    cls=LazyGroup,
    table=SUBCOMMANDS,
    summaries=SUMMARIES,
    kind="list",
    context_settings=CONTEXT_SETTINGS,
)
def list_() -> None:
    """List methods, models, data sets and recipes."""
