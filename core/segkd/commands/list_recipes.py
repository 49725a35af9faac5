"""``segkd list recipes``."""

from __future__ import annotations

import click

from segkd.options import json_option, print_json


@click.command("recipes")
@click.argument("words", nargs=-1)
@json_option
def list_recipes(words: tuple[str, ...], as_json: bool) -> None:
    """Recipes that come with segkd.

    Beside each are the published numbers of its experiment (mIoU in percent).

    WORDS pick those whose name or summary has all of them.

    \b
    Example:
      segkd list recipes bpkd ade20k
    """
    from segkd.recipe import recipe_names
    from segkd.recipe.published import experiments

    # A recipe's first comment line says what it is.
    rows = []
    for name, path in recipe_names().items():
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        summary = first.lstrip("# ").strip() if first.startswith("#") else ""
        if all(word.lower() in f"{name} {summary}".lower() for word in words):
            published = experiments()[name].to_dict() if name in experiments() else None
            rows.append({"name": name, "summary": summary, "published": published})
    if as_json:
        print_json(rows)
        return
    width = max((len(str(row["name"])) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row['name']:<{width}}  {row['summary']}".rstrip())
        name = str(row["name"])
        if name in experiments() and (scores := experiments()[name].scores()):
            click.echo(f"{'':<{width}}  published: " + ", ".join(f"{key} {miou:.2f}" for key, miou in scores.items()))
