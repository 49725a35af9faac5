"""``segkd validate``: hashes, then agreement of every graph with its source."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from segkd.options import OUT_FILE, json_option
from segkd_deploy.targets.remote import Remote, target_options


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--data", metavar="NAME:PATH", help="Also score the graphs on this whole data set.")
@click.option("--split", default="val", show_default=True, help="Part of the data set.")
@click.option("--variant", "variants", multiple=True, help="Variant to compare; may be repeated [default: all].")
@click.option("--runtime", default="onnxruntime", show_default=True, help="onnxruntime, tensorrt or tensorrt_rtx.")
@click.option("--provider", help="What the runtime runs on.  [default: cpu; cuda:0 for tensorrt]")
@click.option("--threads", type=click.IntRange(min=1), help="Threads inside an operator [default: physical cores].")
@click.option(
    "--gate", "gates", multiple=True, metavar="[PRECISION.]GATE=LIMIT", help="Another limit, as fp16.agreement=0.9995."
)
@click.option("--recipe", metavar="NAME|FILE", help="Limits from a recipe's gates; for the same key --gate wins.")
@click.option("--no-diagnosis", is_flag=True, help="Do not look for the reason when a limit does not hold.")
@click.option("--no-pictures", is_flag=True, help="Write no pictures of the worst frames.")
@click.option("--out", type=OUT_FILE, help="File to write [default: ARTIFACT/parity.json].")
@target_options
@json_option
def validate(
    artifact: Path,
    data: str | None,
    split: str,
    variants: tuple[str, ...],
    runtime: str,
    provider: str | None,
    threads: int | None,
    gates: tuple[str, ...],
    recipe: str | None,
    no_diagnosis: bool,
    no_pictures: bool,
    out: Path | None,
    as_json: bool,
    remote: Remote | None,
) -> None:
    """Compare exported graphs with their source.

    Every file must have the hash of its export. Then each graph labels the reference frames, and its labels are held
    against those that the torch student gave when it was exported, and against those of the graph before it: fp32,
    fp16, int8, engine. Neither torch nor the data set is needed.

    Where a limit does not hold, known faults are supposed and undone one by one: normalisation, channels, resizing,
    statistics of the batch, calibration, order of classes. The one that gives agreement back is named. Pictures of the
    worst frames go into a folder beside the result. A file that is there keeps the variants that are not compared now,
    if they are of the same export, machine and versions.

    Exit code 1 if a file has changed or a limit does not hold. Limits: agreement, miou_delta, worst_class_delta,
    self_miou, relative_l2, cosine; docs/validate.md has their values.

    Example: segkd validate runs/student/artifact --gate fp16.agreement=0.9995
    """
    from segkd.data import open_dataset
    from segkd.errors import GateFailed
    from segkd.files.destinations import require_writable_file
    from segkd.folders import ArtifactFiles
    from segkd.options import print_json
    from segkd.recipe import load_recipe
    from segkd_deploy.artifact import open_artifact
    from segkd_deploy.evidence import write_evidence
    from segkd_deploy.gates import parse_gates
    from segkd_deploy.parity import Plan, validate_artifact
    from segkd_deploy.parity.earlier import read_earlier, with_earlier
    from segkd_deploy.parity.whole_set import size_words
    from segkd_deploy.runners import default_provider
    from segkd_deploy.tensorrt.build import variants_for

    wanted = {} if recipe is None else load_recipe(recipe).gates or {}
    limits = wanted | parse_gates(gates)
    opened = open_artifact(artifact)
    path = artifact / ArtifactFiles.PARITY if out is None else out
    require_writable_file(path)
    earlier = read_earlier(path)
    plan = Plan(
        variants=variants or variants_for(opened, runtime),
        runtime=runtime,
        provider=provider or default_provider(runtime),
        threads=threads,
        gates=limits,
        pictures=None if no_pictures else path.with_suffix(""),
        diagnose=not no_diagnosis,
        earlier=earlier,
    )
    if remote is not None:
        result = remote.run("validate", opened, path, runtime, provider)
    elif data is None:
        result = validate_artifact(opened, plan)
    else:
        dataset = open_dataset(data, split=split)
        with click.progressbar(length=len(dataset) * len(plan.variants), label="validate", file=sys.stderr) as bar:
            whole = replace(plan, dataset=dataset, dataset_name=data, progress=bar.update)
            result = validate_artifact(opened, whole)
    content, kept = with_earlier(result, earlier)
    if remote is None or content is not result:
        write_evidence(path, content)
    if as_json:
        print_json(result)
    else:
        _print(result)
    for variant, part in result["variants"].items():
        for line in size_words(part["whole_set"]) if part["whole_set"] else []:
            click.echo(f"note: {variant}: {line}", err=True)
    for note in [*result["notes"], *([] if kept is None else [kept])]:
        click.echo(f"note: {note}", err=True)
    click.echo(f"written: {path}", err=True)
    if not result["passed"]:
        raise GateFailed(f"validation failed: {_failed(result)}; see {path}")


def _failed(result: dict[str, Any]) -> str:
    """The gates that did not hold, and why."""
    said = []
    for variant, part in result["variants"].items():
        failed = [gate for gate in part["gates"] if not gate["passed"]]
        names = [f"{gate['name']}{'' if gate['measured'] is not None else ' (not measured)'}" for gate in failed]
        faults = ", ".join(finding["fault"] for finding in part["diagnosis"])
        said += [f"{variant} {name}" for name in names[:-1]]
        said += [f"{variant} {name}{f' ({faults})' if faults else ''}" for name in names[-1:]]
    return ", ".join(said)


def _print(result: dict[str, Any]) -> None:
    from segkd.table import format_gates, format_table

    _print_chain(result)
    header = ("variant", "flips", "interior", "decided", "edge IoU", "self mIoU", "logits L2", "whole set mIoU")
    rows, gates = [], []
    for variant, part in result["variants"].items():
        flips, logits, whole = part["flips"], part["logits"] or {}, part["whole_set"]
        counts = (str(flips["total"]), str(flips["interior"]), str(flips["decided"]))
        scored = (part["boundary_iou"]["delta"], part["self_miou"]["value"], logits.get("relative_l2"))
        whole_miou = None if whole is None else whole["miou"]
        rows.append((variant, *counts, *(_short(value) for value in (*scored, whole_miou))))
        gates += [{"variant": variant, **gate} for gate in part["gates"]]
    click.echo(format_table(header, rows))
    click.echo()
    click.echo(format_gates(gates))
    for variant, part in result["variants"].items():
        for finding in part["diagnosis"]:
            click.echo(f"\n{variant}: {finding['fault']}: {finding['text']}")
    for part in result["variants"].values():
        for picture in part["pictures"]:
            click.echo(f"picture: {picture['file']} ({picture['flips']} pixels differ)", err=True)


def _print_chain(result: dict[str, Any]) -> None:
    """Each step against the one before it and against the source."""
    from segkd.table import format_table

    rows = []
    for row in result["chain"]:
        delta, ends = row.get("miou_delta_before"), row.get("interval_before")
        change = "-" if delta is None else f"{100 * delta:+.2f}"
        if delta is not None and all(end is not None and math.isfinite(end) for end in ends):
            change += f" [{100 * ends[0]:+.2f}, {100 * ends[1]:+.2f}]"
        shares = (row["agreement_before"], row["agreement_source"])
        same = ("-" if share is None else f"{share:.6f}" for share in shares)
        rows.append((row["step"], row["before"] or "-", *same, _short(row["miou"]), change))
    header = ("step", "before it", "agree with it", "with the student", "mIoU", "points to the step before, 95 %")
    click.echo(format_table(header, rows))
    click.echo()


def _short(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4g}"
