"""``segkd model``: what a weights file is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from segkd.errors import import_extra
from segkd.options import json_option, print_json


@click.group()
def model() -> None:
    """Say what a weights file is."""


@model.command(short_help="Format, probable models, classes and normalisation of a checkpoint.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE|RUN|NAME")
@click.option("--keys", is_flag=True, help="List every name that does not fit the best model.")
@json_option
def inspect(file: Path, keys: bool, as_json: bool) -> None:
    """Say what a checkpoint is: its format, the models it is for, its classes and its normalisation.

    FILE is a weights file, a run folder, or fetched weights (`segkd weights list`). Nothing in the file is executed.

    \b
    Example:
      segkd model inspect kd_deeplabv3_resnet18_citys.pth
    """
    for library in ("torch", "safetensors"):
        import_extra(library, "train")
    from segkd_distill.models.checkpoints.inspect import describe
    from segkd_distill.models.checkpoints.reading import read_checkpoint

    found = describe(read_checkpoint(file))
    if as_json:
        print_json(found)
    else:
        _print(found, keys)


def _print(found: dict[str, Any], keys: bool) -> None:
    click.echo(f"{found['file']}: {found['holds']} ({found['format']})")
    extra = found["auxiliary_parameters"]
    auxiliary = f" ({extra:,} of them in the auxiliary head)" if extra else ""
    click.echo(f"parameters      {found['parameters']:,}{auxiliary}, in {found['tensors']} tensors with statistics")
    if found["num_classes"] is not None:
        names = f": {_some(found['class_names'])}" if found["class_names"] else ""
        click.echo(f"classes         {found['num_classes']}{names}")
    normalisation = found["normalisation"]
    if normalisation is None:
        click.echo("normalisation   the model's own")
    else:
        mean, std = (" ".join(f"{value:g}" for value in normalisation[key]) for key in ("mean", "std"))
        click.echo(f"normalisation   RGB mean {mean}, deviation {std}")

    for note in found["notes"]:
        click.echo(f"note            {note}")
    if found["dropped"]:
        click.echo(f"left out        {len(found['dropped'])} tensors: {_some(found['dropped'])}")

    if not found["models"]:
        click.echo("models          none of `segkd list models`")
    for one in found["models"]:
        faults = [f"{len(one[what])} {what}" for what in ("missing", "unexpected", "mismatched") if one[what]]
        fit = "complete" if one["fit"] == 1 and not faults else ", ".join(faults) or "complete"
        click.echo(f"model           {one['name']:<28} {one['matched']} tensors fit; {fit}")

    if keys and found["models"]:
        best = found["models"][0]
        for what in ("missing", "unexpected", "mismatched"):
            for name in best[what]:
                click.echo(f"{what:<15} {name}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
