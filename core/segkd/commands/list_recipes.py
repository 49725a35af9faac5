"""``segkd list recipes``."""

from __future__ import annotations

import click

from segkd.options import json_option, print_json


@click.command("recipes", short_help="Recipes that come with segkd.")
@json_option
def list_recipes(as_json: bool) -> None:
    """Recipes that come with segkd."""
    from segkd.recipe import recipe_names

    # A recipe's first comment line says what it is.
    rows = []
    for name, path in recipe_names().items():
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        rows.append({"name": name, "summary": first.lstrip("# ").strip() if first.startswith("#") else ""})
    if as_json:
        print_json(rows)
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row['name']:<{width}}  {row['summary']}".rstrip())
