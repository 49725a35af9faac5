"""``segkd eval``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkd.errors import import_extra
from segkd.options import json_option, print_json
from segkd_distill.commands.options import cpu_threads, device_option, threads_option

if TYPE_CHECKING:
    from segkd.metrics import Scores


@click.command("eval", short_help="Score a run on a data set.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", metavar="NAME:PATH", help="Images to score; by default the run's validation data.")
@click.option("--split", default="val", show_default=True, help="Split of --data.")
@click.option(
    "--save-predictions",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write DIR/ID.png with class indices and DIR/color/ID.png.",
)
@device_option
@threads_option
@json_option
def evaluate(
    run: Path,
    data: str | None,
    split: str,
    save_predictions: Path | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Score the weights of a run (student.safetensors) on whole images.

    Per-class IoU and accuracy, mIoU, mAcc and aAcc over the whole set, at the size of the labels, as mmsegmentation
    defines them.
    """
    for library in ("torch", "safetensors"):
        import_extra(library, "train")
    from segkd_distill.scoring import score_run

    with cpu_threads(threads):
        result, quality = score_run(run, data, split=split, device=device, save_predictions=save_predictions)
    if as_json:
        print_json(result)
    else:
        _print_table(result, quality)


def _print_table(result: dict[str, Any], quality: Scores) -> None:
    width = max(len(name) for name in result["classes"])
    click.echo(f"{'class':<{width}}    IoU    Acc")
    for name, iou, acc in zip(result["classes"], quality.iou, quality.acc, strict=True):
        click.echo(f"{name:<{width}} {_percent(iou)} {_percent(acc)}")
    click.echo(f"mIoU {_percent(quality.miou)}  mAcc {_percent(quality.macc)}  aAcc {_percent(quality.aacc)}")
    click.echo(f"{result['images']} images of {result['data']}")


def _percent(value: float) -> str:
    return f"{100 * value:6.2f}" if value == value else "     -"
