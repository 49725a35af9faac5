"""``segkd data``: make and check data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkd.options import IMGSZ, OUT_FOLDER, Number, json_option, print_json

if TYPE_CHECKING:
    from segkd.data.base import Dataset

GRID_PICTURES = 8


@click.group()
def data() -> None:
    """Make and check data sets.

    A data set is named NAME:PATH[,option=value]; segkd list datasets shows the names and options.
    """


@data.command(short_help="Write built-in street scenes as a Cityscapes tree.")
@click.option("--out", type=OUT_FOLDER, required=True, help="Folder to write.")
@click.option("--train", type=click.IntRange(min=0), default=600, show_default=True, help="Training scenes.")
@click.option("--val", type=click.IntRange(min=0), default=100, show_default=True, help="Validation scenes.")
@click.option("--imgsz", type=IMGSZ, default="128x256", show_default=True, help="Height and width in pixels.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Other seeds, other scenes.")
@click.option("--hard", type=Number(), default=0.5, show_default=True, help="Strength of texture, weather and noise.")
@click.option("--thickness", type=Number(), default=1.7, show_default=True, help="Factor on the size of thin things.")
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
@click.option("--split", default="all", show_default=True, metavar="train|val|...|all", help="What to check.")
@click.option("--strict", is_flag=True, help="Splits of another size than the published ones are problems too.")
@json_option
def check(spec: str, split: str, strict: bool, as_json: bool) -> None:
    """Read every file of a data set; name what is wrong and what the data mean, one line per kind.

    Says which form of the files was found. Exit code 2 if something is wrong or makes scores meaningless; what a
    user may want is a note. A part of a published split is only a warning, unless --strict.
    """
    from segkd.data.base import Problem, parse_spec
    from segkd.data.check import examine, open_splits, unexpected_counts
    from segkd.data.checks.findings import find
    from segkd.data.checks.lines import printable, problem_lines
    from segkd.errors import SegkdError

    splits, problems = open_splits(spec, split)
    facts = {}
    with _progress("images", sum(len(dataset) for dataset in splits.values())) as advance:
        for name, dataset in splits.items():
            wrong, facts[name] = examine(dataset, advance)
            problems += wrong
    findings = find(splits, facts)
    warnings = unexpected_counts(splits)
    if strict:
        problems += [Problem(parse_spec(spec)[1], warning) for warning in warnings]
        warnings = []

    lines = problem_lines(problems, facts) + [printable(found.what) for found in findings if found.problem]
    notes = [printable(found.what) for found in findings if not found.problem]
    problems += [Problem(parse_spec(spec)[1], found.what) for found in findings if found.problem]
    counts = {name: len(dataset) for name, dataset in splits.items()}
    forms = {name: dataset.form for name, dataset in splits.items() if dataset.form}
    if as_json:
        listed = [{"path": printable(str(problem.path)), "what": printable(problem.what)} for problem in problems]
        found = {"data": spec, "images": counts, "forms": forms, "problems": listed, "warnings": warnings}
        print_json({**found, "notes": notes, "ok": not problems})
    else:
        _echo_forms(forms)
        _echo_lines(spec, lines, warnings, notes, counts)
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        raise SegkdError(f"{len(problems)} {noun} in {spec}; correct the files named above")


@data.command(short_help="Class shares, picture sizes and reading speed.")
@click.argument("spec")
@click.option("--split", default="all", show_default=True, metavar="train|val|...|all", help="What to read.")
@click.option("--limit", type=click.IntRange(min=1), help="Read this many images of each split, evenly spread.")
@click.option("--out", type=OUT_FOLDER, help="Folder for stats.json and a picture grid of each split.")
@json_option
def stats(spec: str, split: str, limit: int | None, out: Path | None, as_json: bool) -> None:
    """Read a data set in one thread and say what it holds.

    Shares are of the pixels that have a class; "images" are those in which a class occurs.
    """
    from segkd.data.check import open_splits
    from segkd.data.stats import measure, spread

    splits, _ = open_splits(spec, split)
    splits = {name: dataset for name, dataset in splits.items() if len(dataset)}
    with _progress("images", sum(len(spread(len(dataset), limit)) for dataset in splits.values())) as advance:
        measured = {name: measure(dataset, limit, advance) for name, dataset in splits.items()}
    found = {name: {"form": splits[name].form or None, **measured[name].to_dict()} for name in splits}
    if as_json:
        print_json({"data": spec, "splits": found})
    else:
        for name, values in found.items():
            click.echo(_stats_table(name, values))
    if out is not None:
        _write_stats(out, {"data": spec, "splits": found}, splits)


def _stats_table(split: str, values: dict[str, Any]) -> str:
    """The numbers of one split, as text."""
    form = f", {values['form']}" if values["form"] else ""
    height, width = values["height_px"], values["width_px"]
    size = f"{height['max']}x{width['max']}"
    if values["distinct_sizes"] > 1:
        size = ", ".join(
            f"{axis} {px['min']} to {px['max']} (median {px['median']:g})"
            for axis, px in (("height", height), ("width", width))
        )
    mask = f", mask {values['mask_ms']:.1f} ms" if values["mask_ms"] is not None else ""
    lines = [
        f"{split}: {values['images']} images, {values['read']} read{form}",
        f"  pixels: {size}" + (f", {values['labelled_share']:.1%} labelled" if values["classes"] else ""),
        f"  reading: {values['images_per_s']:.1f} images/s in one thread (image {values['image_ms']:.1f} ms{mask})",
    ]
    if values["classes"]:
        longest = max(len(entry["name"]) for entry in values["classes"])
        lines.append(f"  {'class':<{longest}}    share  images")
        lines += [f"  {c['name']:<{longest}}  {c['share']:7.3%}  {c['images']:6}" for c in values["classes"]]
    return "\n".join(lines)


def _write_stats(out: Path, values: dict[str, Any], splits: Mapping[str, Dataset]) -> None:
    """Write the numbers and one picture per split."""
    import cv2

    from segkd.data.picture_grid import picture_grid
    from segkd.data.stats import spread
    from segkd.files import write_atomic, write_json

    for name, dataset in splits.items():
        grid = picture_grid(dataset, spread(len(dataset), GRID_PICTURES))
        write_atomic(out / f"{name}.png", cv2.imencode(".png", grid[..., ::-1])[1].tobytes())
    write_json(out / "stats.json", values)
    click.echo(f"wrote {out}/stats.json and {', '.join(f'{name}.png' for name in splits)}", err=True)


def _echo_lines(
    spec: str, problems: list[str], warnings: list[str], notes: list[str], counts: Mapping[str, int]
) -> None:
    """Print what was found, one line per kind, and how many images there are if nothing is wrong."""
    for line in problems:
        click.echo(line)
    for kind, lines in (("warning", warnings), ("note", notes)):
        for line in lines:
            click.echo(f"{kind}: {line}")
    if not problems:
        images = " + ".join(f"{count} {name}" for name, count in counts.items())
        click.echo(f"{spec}: {images} images, no problems")


def _echo_forms(forms: Mapping[str, str]) -> None:
    """Say which form of the files each split has; once if they are all alike."""
    if len(set(forms.values())) == 1:
        click.echo(f"found: {next(iter(forms.values()))}")
        return
    for name, form in forms.items():
        click.echo(f"found for {name}: {form}")


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
