"""``segkd validate``: hashes, then agreement of every graph with its source."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from segkd.options import json_option
from segkd_deploy.targets.options import Remote, target_options


@click.command(short_help="Compare exported graphs with their source.")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--data", metavar="NAME:PATH", help="Also score the graphs on this whole data set.")
@click.option("--split", default="val", show_default=True, help="Part of the data set.")
@click.option("--variant", "variants", multiple=True, help="Variant to compare; may be repeated [default: all].")
@click.option("--runtime", default="onnxruntime", show_default=True, help="onnxruntime, tensorrt or tensorrt_rtx.")
@click.option("--provider", help="What the runtime runs on.  [default: cpu; cuda:0 for tensorrt]")
@click.option("--threads", type=click.IntRange(min=1), help="Threads inside an operator [default: physical cores].")
@click.option("--out", type=click.Path(path_type=Path), help="File to write [default: ARTIFACT/parity.json].")
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
    out: Path | None,
    as_json: bool,
    remote: Remote | None,
) -> None:
    """Compare exported graphs with their source.

    Every file must have the hash of its export. Then each graph labels the reference frames, and its labels are held
    against those that the torch student gave when it was exported. Neither torch nor the data set is needed.

    Exit code 1 if a file has changed or a limit does not hold: agreement and mIoU difference, fp32 0.9999 and
    0.0005, fp16 0.999 and 0.002, int8 0.99 and 0.01.
    """
    from segkd.data import open_dataset
    from segkd.errors import GateFailed
    from segkd.options import print_json
    from segkd_deploy.artifact import open_artifact
    from segkd_deploy.build import variants_for
    from segkd_deploy.evidence import PARITY_FILE, write_evidence
    from segkd_deploy.parity import validate_artifact
    from segkd_deploy.runners import default_provider

    options: dict[str, Any] = {"runtime": runtime, "provider": provider or default_provider(runtime)}
    options["threads"] = threads
    opened = open_artifact(artifact)
    variants = variants or variants_for(opened, runtime)
    path = artifact / PARITY_FILE if out is None else out
    if remote is not None:
        result = remote.run("validate", opened, path, runtime, provider)
    elif data is None:
        result = validate_artifact(opened, variants, **options)
    else:
        dataset = open_dataset(data, split=split)
        length = len(dataset) * len(opened.variants(variants))
        with click.progressbar(length=length, label="validate", file=sys.stderr) as bar:
            options |= {"dataset": dataset, "dataset_name": data, "progress": bar.update}
            result = validate_artifact(opened, variants, **options)
    if remote is None:
        write_evidence(path, result)
    if as_json:
        print_json(result)
    else:
        _print(result)
    click.echo(f"written: {path}", err=True)
    if not result["passed"]:
        failed = [
            f"{variant} {gate['name']}"
            for variant, part in result["variants"].items()
            for gate in part["gates"]
            if not gate["passed"]
        ]
        raise GateFailed(f"validation failed: {', '.join(failed)}; see {path}")


def _print(result: dict[str, Any]) -> None:
    from segkd_deploy.table import format_gates, format_number, format_table

    header = ("variant", "agreement", "flips", "interior", "decided", "source mIoU", "graph mIoU", "whole set mIoU")
    rows, gates = [], []
    for variant, part in result["variants"].items():
        flips, miou, whole = part["flips"], part["miou"], part["whole_set"]
        counts = (str(flips["total"]), str(flips["interior"]), str(flips["decided"]))
        scored = (miou["source"], miou["graph"], None if whole is None else whole["miou"])
        rows.append((variant, f"{part['agreement']:.6f}", *counts, *(format_number(value) for value in scored)))
        gates += [{"variant": variant, **gate} for gate in part["gates"]]
    click.echo(format_table(header, rows))
    click.echo()
    click.echo(format_gates(gates))
