"""``segkd quickstart``."""

from __future__ import annotations

from pathlib import Path

import click

from segkd.options import OUT_FOLDER


@click.command()
@click.option("--out", type=OUT_FOLDER, default=Path("quickstart"), show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the scenes and of every training.")
@click.option("--set", "settings", multiple=True, metavar="A.B=C", help="A recipe value for every training.")
@click.option("--train-frames", type=click.IntRange(60), default=600, show_default=True)
@click.option("--val-frames", type=click.IntRange(4), default=100, show_default=True)
@click.option("--gates", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Gates of your own.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def quickstart(
    out: Path,
    seed: int,
    settings: tuple[str, ...],
    train_frames: int,
    val_frames: int,
    gates: Path | None,
    as_json: bool,
) -> None:
    """Run the whole chain on built-in street scenes. No download, no GPU.

    Makes the data, trains a teacher, trains a student alone and the same student distilled with unlabelled frames,
    exports, validates, benchmarks, releases and reports. Each step is an ordinary command, printed before it runs.
    Exits with 1 if the release's gates refuse the student; a machine too busy to time it only postpones the release.

    Example: segkd quickstart --out quickstart
    """
    from segkd.errors import GateFailed
    from segkd.quickstart import Plan, print_summary, run_quickstart

    plan = Plan(train_frames=train_frames, val_frames=val_frames, seed=seed, settings=settings, gates=gates)
    summary = run_quickstart(out, plan)
    if as_json:
        from segkd.options import print_json

        print_json(summary)
    else:
        print_summary(out, summary)
    if not summary["release"]["passed"] and "postponed" not in summary["release"]:
        raise GateFailed(f"the release's gates did not hold; the table above says which ({out / 'gates.yaml'})")
