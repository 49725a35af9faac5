"""``segkd list methods``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from segkd.options import json_option, print_json

if TYPE_CHECKING:
    from segkd_distill.methods import Method


@click.command("methods", short_help="Distillation methods.")
@json_option
def list_methods(as_json: bool) -> None:
    """Distillation methods.

    With what each one reads of the networks, and whether it needs labels.
    """
    from segkd.errors import import_extra

    import_extra("torch", "train")
    from segkd_distill.methods import METHODS, method_class

    rows = [_row(name, method_class(name)) for name in METHODS]
    if as_json:
        print_json(rows)
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        settings = ", ".join(f"{key}={value}" for key, value in row["hyper_parameters"].items())
        needs = ", ".join(row["taps"] + ["labels"] * row["labels"]) or "logits alone"
        click.echo(f"{row['name']:<{width}}  {row['summary'].replace('``', '')}")
        click.echo(f"{'':<{width}}  needs: {needs}; settings: {settings}")


def _row(name: str, method: type[Method]) -> dict[str, Any]:
    import inspect

    parameters = inspect.signature(method).parameters
    networks = ("student", "teacher", "num_classes")
    return {
        "name": name,
        "summary": (method.__doc__ or "").strip().splitlines()[0].rstrip("."),
        "taps": sorted(method.needs.student_taps | method.needs.teacher_taps),
        "labels": method.needs.labels,
        "hyper_parameters": {key: value.default for key, value in parameters.items() if key not in networks},
    }
