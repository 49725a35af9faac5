"""``segkd data``: make and check data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from segkd.options import IMGSZ, json_option, print_json


@click.group(short_help="Make and check data sets.")
def data() -> None:
    """Make and check data sets.

    A data set is named NAME:PATH[,option=value]: cityscapes:PATH, folder:PATH or images:PATH.
    """


@data.command(short_help="Write built-in street scenes as a Cityscapes tree.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--train", type=click.IntRange(min=0), default=600, show_default=True, help="Training scenes.")
@click.option("--val", type=click.IntRange(min=0), default=100, show_default=True, help="Validation scenes.")
@click.option("--imgsz", type=IMGSZ, default="128x256", show_default=True, help="Height and width in pixels.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Other seeds, other scenes.")
@click.option("--hard", type=float, default=0.5, show_default=True, help="Strength of texture, weather and noise.")
@click.option("--thickness", type=float, default=1.7, show_default=True, help="Factor on the size of thin things.")
@click.option("--force", is_flag=True, help="Replace street scenes of other settings.")
@json_option
def synth(
    out: Path,
    train: int,
    val: int,
    imgsz: tuple[int, int],
    seed: int,
    hard: float,
    thickness: float,
    force: bool,
    as_json: bool,
) -> None:
    """Draw labelled street scenes and write them as a Cityscapes tree, read as cityscapes:OUT.

    The same seed draws the same scenes. A tree of the same settings that is there already is kept.
    """
    from segkd.data.street_scenes import write_tree

    with _progress("street scenes", train + val) as advance:
        written = write_tree(
            out, train, val, imgsz, seed, hard=hard, thickness=thickness, force=force, on_scene=advance
        )
    if as_json:
        size = {"height_px": imgsz[0], "width_px": imgsz[1]}
        print_json({"data": f"cityscapes:{out}", "train": train, "val": val, **size, "seed": seed, "written": written})
    else:
        done = "wrote" if written else "kept"
        click.echo(f"{done} {train} train + {val} val street scenes of {imgsz[0]}x{imgsz[1]}: cityscapes:{out}")


@data.command(short_help="Name everything that is wrong with a data set.")
@click.argument("spec")
@click.option("--split", default="all", show_default=True, metavar="train|val|all", help="What to check.")
@json_option
def check(spec: str, split: str, as_json: bool) -> None:
    """Read every file of a data set and name everything that is wrong with it, one line each.

    Exit code 2 if something is.
    """
    from segkd.data.check import check_dataset, open_splits, shared_names
    from segkd.errors import SegkdError

    splits, problems = open_splits(spec, split)
    with _progress("images", sum(len(dataset) for dataset in splits.values())) as advance:
        for dataset in splits.values():
            problems += check_dataset(dataset, advance)
    problems += shared_names(splits)

    counts = {name: len(dataset) for name, dataset in splits.items()}
    if as_json:
        listed = [{"path": str(problem.path), "what": problem.what} for problem in problems]
        print_json({"data": spec, "images": counts, "problems": listed, "ok": not problems})
    else:
        for problem in problems:
            click.echo(f"{problem.path}: {problem.what}")
        if not problems:
            click.echo(f"{spec}: {' + '.join(f'{count} {name}' for name, count in counts.items())} images, no problems")
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        raise SegkdError(f"{len(problems)} {noun} in {spec}; correct the files named above")


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr, if that is a terminal; gives the function that advances it by one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
