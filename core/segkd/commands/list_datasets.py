"""``segkd list datasets``."""

from __future__ import annotations

import click

from segkd.options import json_option, print_json


@click.command("datasets")
@json_option
def list_datasets(as_json: bool) -> None:
    """Data sets, with their options.

    A data set is named NAME:PATH[,option=value], on the command line and in recipes. docs/datasets.md says more.
    """
    from segkd.data.base import DATASETS, dataset_class

    rows = []
    for name in DATASETS:
        reader = dataset_class(name)
        rows.append(
            {
                "name": name,
                "summary": (reader.__doc__ or "").strip().splitlines()[0].replace("``", ""),
                "classes": reader.CLASSES,
                "options": sorted({*reader.OPTIONS, "frames", "split"}),
                "splits": list(reader.SPLITS),
                "layout": list(reader.LAYOUT),
            }
        )
    if as_json:
        print_json(rows)
        return
    width = max(len(name) for name in DATASETS) + 1
    for row in rows:
        layout = f"\n{'':<{width}}         ".join(row["layout"])
        click.echo(
            f"{row['name']:<{width}}{row['summary']}\n"
            f"{'':<{width}}classes: {row['classes']}\n"
            f"{'':<{width}}options: {', '.join(row['options'])}\n"
            f"{'':<{width}}layout:  {layout}"
        )
