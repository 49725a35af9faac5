"""What ``segkd train`` and ``segkd distill`` have in common once their options are parsed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkd.options import print_json
from segkd_distill.commands.options import cpu_threads

if TYPE_CHECKING:
    from segkd.recipe import Recipe


def fit_and_print(recipe: Recipe, run: Path, options: dict[str, Any]) -> None:
    """Train, and print the result."""
    from segkd_distill.train import fit

    with cpu_threads(options["threads"]):
        record = fit(
            recipe,
            run,
            device=options["device"],
            workers=options["workers"],
            resume=options["resume"] is not None,
            save_every=options["save_every"],
        )
    if options["as_json"]:
        print_json(record)
        return
    quality, best = record["eval"], record["best"]
    miou, macc, aacc = (
        "none" if quality[key] is None else f"{100 * quality[key]:.2f}" for key in ("miou", "macc", "aacc")
    )
    click.echo(f"mIoU {miou}  mAcc {macc}  aAcc {aacc}  (best validation, step {best['step']} of {record['iters']})")
    click.echo(f"{record['model']}, {record['params']} parameters, {record['seconds']['total']:.0f} s: {run}")
