"""``segkd lint``: what a chip's TensorRT will say of a graph, without a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segkd.options import json_option

if TYPE_CHECKING:
    from segkd_export.lint.lint import LintReport


@click.command()
@click.argument("graph", type=click.Path(path_type=Path))
@click.option("--chip", required=True, help="Chip: orin, orin-nx, orin-nano, thor, rtx40, ...")
@click.option("--tensorrt", "line", help="TensorRT line, as in 10.3, or all.  [default: the chip's usual one]")
@click.option("--dla", is_flag=True, help="For the chip's deep learning accelerator.")
@click.option("--variant", "variants", multiple=True, help="Variant of an artifact; may be repeated.  [default: all]")
@json_option
def lint(graph: Path, chip: str, line: str | None, dla: bool, variants: tuple[str, ...], as_json: bool) -> None:
    """Check ONNX graphs for a chip, without a GPU.

    GRAPH is an ONNX file or an artifact folder. Types, operators, int64, sizes and the rules of precision are those of
    the chip's TensorRT. Variants for CPUs (int8-cpu) are left out unless they are named.

    Exit code 1 if something will not build.

    Example: segkd lint runs/student/artifact --chip orin-nano
    """
    from segkd.options import print_json
    from segkd_export.lint.lint import lint_artifact, lint_file

    if graph.is_dir():
        reports = lint_artifact(graph, chip, line, variants=variants, dla=dla)
    else:
        reports = lint_file(graph, chip, line, dla=dla)
    if as_json:
        print_json([report.to_dict() for report in reports])
    else:
        print_reports(reports)
    fail_on_errors(reports)


def lint_target(wanted: bool, chip: str | None) -> str | None:
    """The chip of a command that can lint as well, checked before its work; None if it was not asked to.

    Raises:
        SegkdError: if only one of ``--lint`` and ``--chip`` was given, or the chip is unknown.
    """
    from segkd.errors import SegkdError
    from segkd_deploy.chips import chip_named

    if wanted != (chip is not None):
        raise SegkdError("--lint and --chip go together, as in --lint --chip orin")
    return None if chip is None else chip_named(chip).name


def fail_on_errors(reports: Sequence[LintReport]) -> None:
    """End with exit code 1 if a report has an error.

    Raises:
        GateFailed: naming the graphs and the TensorRT lines.
    """
    from segkd.errors import GateFailed

    failed = [f"{report.file} on TensorRT {report.line.name}" for report in reports if not report.passed]
    if failed:
        raise GateFailed(f"lint found errors for {reports[0].chip.name}: {', '.join(failed)}")


def print_reports(reports: Sequence[LintReport]) -> None:
    """One block per graph and TensorRT line."""
    for report in reports:
        click.echo(f"{report.file} for {report.chip.title} (SM {report.chip.sm}), TensorRT {report.line.name}")
        for finding in report.findings:
            where = " ".join(word for word in (finding.operator, finding.node) if word) or "graph"
            click.echo(f"  {finding.severity:<8}{finding.rule:<16}{where}: {finding.message}; {finding.advice}")
        if not report.findings:
            click.echo("  nothing found")
