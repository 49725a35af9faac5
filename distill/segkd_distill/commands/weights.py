"""``segkd weights``: published weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from segkd.options import json_option, print_json

if TYPE_CHECKING:
    from segkd_distill.models.catalogue.download import Progress


@click.group()
def weights() -> None:
    """List and fetch published weights.

    There are ImageNet backbones and whole networks. --backbone-weights, --init-from and teacher.weights take their
    names once they are fetched.
    """


@weights.command("list", short_help="Published weights, and which of them are here.")
@json_option
def list_(as_json: bool) -> None:
    """Published weights, what they are for, and which of them are here already."""
    from segkd_distill.models.catalogue.weights_table import WEIGHTS, cache_folder

    rows = [
        {
            "name": row.name,
            "model": row.model,
            "trained_on": row.trained_on,
            "backbone": row.is_backbone,
            "sha256": row.sha256,
            "url": row.url,
            "path": str(row.path) if row.path.is_file() else None,
        }
        for row in WEIGHTS.values()
    ]
    if as_json:
        print_json(rows)
        return
    width = max(len(name) for name in WEIGHTS)
    for row in rows:
        here = "here" if row["path"] else "-"
        what = "backbone of" if row["backbone"] else "network"
        click.echo(f"{row['name']:<{width}}  {here:<4}  {row['trained_on']:<10}  {what} {row['model']}")
    click.echo(f"fetched files lie in {cache_folder()}")


@weights.command(short_help="Download published weights into the cache.")
@click.argument("name")
@json_option
def fetch(name: str, as_json: bool) -> None:
    """Download published weights into the cache; an interrupted download is continued.

    The file counts only if its SHA-256 begins with the digits that its publisher put into its name.

    \b
    Example:
      segkd weights fetch resnet18-v1c
      segkd train --student pspnet-r18 --backbone-weights resnet18-v1c --data cityscapes:/data/cityscapes --out runs/a
    """
    from segkd.files import sha256_file
    from segkd_distill.models.catalogue.download import download
    from segkd_distill.models.catalogue.weights_table import published

    row = published(name)
    with _progress(name) as progress:
        downloaded = download(row.url, row.path, sha256=row.sha256, progress=progress)
    digest = sha256_file(row.path)
    if as_json:
        print_json({"name": name, "path": str(row.path), "sha256": digest, "downloaded": downloaded})
        return
    click.echo(f"{'fetched' if downloaded else 'already here'}: {row.path}")
    click.echo(f"sha256 {digest}; its first {len(row.sha256)} digits are those of the publisher")


@contextmanager
def _progress(what: str) -> Iterator[Progress]:
    """A progress bar on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda have, total: bar.update(task, completed=have, total=total)
