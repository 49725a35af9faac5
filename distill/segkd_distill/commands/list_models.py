"""``segkd list models``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from segkd.options import IMGSZ, json_option, print_json

if TYPE_CHECKING:
    from segkd_distill.models.catalogue.catalogue import Row


@click.command("models")
@click.option("--classes", "num_classes", type=click.IntRange(1, 255), default=19, show_default=True, help="Classes.")
@click.option("--imgsz", type=IMGSZ, default="512x512", show_default=True, help="Size of the image for the FLOPs.")
@json_option
def list_models(num_classes: int, imgsz: tuple[int, int], as_json: bool) -> None:
    """Networks, with their size.

    Parameters of the deployed network; those of the auxiliary head, which only training uses, are listed beside,
    and what is left when batch normalisation is folded into the convolutions. FLOPs are multiply-adds of one image,
    counted by fvcore's rules. Below, the figures of papers and ours for the same classes and image size.
    """
    from segkd.errors import import_extra

    import_extra("torch", "train")
    from segkd_distill.models.catalogue.catalogue import FLOPS_CONVENTION, describe_models

    rows = describe_models(num_classes, imgsz)
    if as_json:
        print_json([{**row.to_dict(), "flops_convention": FLOPS_CONVENTION} for row in rows])
        return
    width = max(len(row.config.name) for row in rows)
    click.echo(f"{num_classes} classes, {imgsz[0]}x{imgsz[1]}")
    click.echo(
        f"{'name':<{width}}  {'parameters':>11}  {'auxiliary':>10}  {'folded':>11}  {'FLOPs G':>8}  stride  network"
    )
    for row in rows:
        click.echo(f"{row.config.name:<{width}}  {_line(row)}")
    click.echo("\ntaps, channels/stride")
    for row in rows:
        if row.taps is not None:
            taps = [f"{name} {channels}/{row.taps.strides[name]}" for name, channels in row.taps.channels.items()]
            click.echo(f"{row.config.name:<{width}}  {'  '.join(taps)}")
    click.echo("\npublished figures and ours for the same classes and size; parameters with the auxiliary head")
    click.echo(f"{'name':<{width}}  {'params M':>8}  {'ours':>7}  {'FLOPs G':>8}  {'ours':>7}  classes  source")
    notes: list[str] = []
    for row in rows:
        if row.published is not None:
            note = row.published.note
            notes += [note] if note and note not in notes else []
            mark = f" [{notes.index(note) + 1}]" if note else ""
            click.echo(f"{row.config.name:<{width}}  {_published(row)}{mark}")
    for number, note in enumerate(notes, start=1):
        click.echo(f"[{number}] {note}")
    click.echo(f"\nFLOPs: {FLOPS_CONVENTION}.")


def _line(row: Row) -> str:
    network = f"{row.config.backbone} + {row.config.head}"
    if row.cost is None or row.taps is None:
        return f"{network}: {row.missing}"
    counts = row.cost.parameters
    return (
        f"{counts.deployed:>11,}  {counts.total - counts.deployed:>10,}  {counts.folded:>11,}  "
        f"{row.cost.flops / 1e9:>8.2f}  {row.taps.strides['logits']:>6}  {network}"
    )


def _published(row: Row) -> str:
    published, ours = row.published, row.like_published
    if published is None or ours is None:
        return row.missing
    flops = f"{published.flops_g:>8.2f}  {ours.flops / 1e9:>7.2f}" if published.flops_g else f"{'-':>8}  {'-':>7}"
    return (
        f"{published.parameters_m:>8}  {ours.parameters.total / 1e6:>7.3f}  {flops}  {published.num_classes:>7}  "
        f"{published.source}"
    )
