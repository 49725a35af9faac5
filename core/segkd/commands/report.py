"""``segkd report``."""

from __future__ import annotations

from pathlib import Path

import click

from segkd.options import OUT_FILE


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=OUT_FILE, help="The page; default FOLDER/report.html.")
def report(folder: Path, out: Path | None) -> None:
    """Draw a report from the files of a workflow.

    FOLDER is a run, a folder of runs (they are compared), an artifact, or the folder of a quickstart. The page is one
    file without scripts or links; what the folder does not tell does not appear.

    \b
    Example:
      segkd report runs/cwd --out report.html
    """
    from segkd.files.destinations import require_writable_file
    from segkd.report.collect import collect_report
    from segkd.report.html import write_report

    if out is None and folder.is_dir():
        require_writable_file(folder / "report.html")
    click.echo(write_report(out or folder / "report.html", collect_report(folder)))
