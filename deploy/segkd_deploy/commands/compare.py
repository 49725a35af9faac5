"""``segkd compare``: accuracy, latency, size and energy side by side."""

from __future__ import annotations

from pathlib import Path

import click

from segkd.options import OUT_FOLDER, json_option


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--variant", "variants", multiple=True, help="Only this variant; may be repeated.  [default: all]")
@click.option("--force", is_flag=True, help="Show what is not comparable, with the reasons.")
@click.option("--out", type=OUT_FOLDER, help="Folder for Markdown, page, plots, JSON.")
@json_option
def compare(paths: tuple[Path, ...], variants: tuple[str, ...], force: bool, out: Path | None, as_json: bool) -> None:
    """Compare runs, variants and devices.

    PATH is a run, an artifact (one row per variant), what `segkd deploy --out` or `segkd bench --out` brought from a
    device, or a folder of these. mIoU is that of the whole data set where `segkd validate --data` measured it, else of
    the reference frames.

    Rows that were scored on other data, have another size or other classes, or are not valid end the command with exit
    code 2, naming both sides; --force shows them. Other devices and settings of a measurement are marked with letters.
    "best in" names the costs at which no comparable row is both cheaper and better: the Pareto front.

    \b
    Example:
      segkd compare runs/a/artifact runs/b/artifact deployed/ --out comparison
    """
    from segkd.options import print_json
    from segkd.table import format_table
    from segkd_deploy.compare.comparison import compare as compare_all
    from segkd_deploy.compare.write import footnotes, table, write_comparison

    comparison = compare_all(paths, variants, force=force)
    written = [] if out is None else write_comparison(out, comparison)
    for conflict in comparison.conflicts:
        click.echo(f"not comparable: {conflict.text}", err=True)
    if as_json:
        print_json(comparison.to_dict())
    else:
        click.echo(format_table(*table(comparison)))
        click.echo()
        for line in footnotes(comparison):
            click.echo(line)
    for path in written:
        click.echo(f"written: {path}", err=True)
