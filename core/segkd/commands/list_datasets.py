"""``segkd list datasets``."""

from __future__ import annotations

import click

from segkd.options import json_option, print_json


@click.command("datasets", short_help="Data sets, with their options.")
@json_option
def list_datasets(as_json: bool) -> None:
    """Data sets, with their options.

    A data set is named NAME:PATH[,option=value], on the command line and in recipes.
    """
    import importlib

    from segkd.data.base import DATASETS

    rows = []
    for name, entry in DATASETS.items():
        module, attribute = entry.split(":")
        reader = getattr(importlib.import_module(module), attribute)
        options = sorted({*reader.OPTIONS, "frames", "split"})
        rows.append({"name": name, "options": options, "summary": (reader.__doc__ or "").strip().splitlines()[0]})
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(
            f"{row['name']:<11} {str(row['summary']).replace('``', '')}\n{'':<11} options: {', '.join(row['options'])}"
        )
