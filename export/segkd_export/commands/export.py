"""``segkd export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkd.errors import SegkdError, import_extra
from segkd.options import IMGSZ, json_option, print_json
from segkd_distill.commands.options import device_option

if TYPE_CHECKING:
    from segkd_export.artifact import ExportResult


@click.command(short_help="Write a run's complete ONNX graphs and their reference.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Artifact folder.  [default: RUN/artifact]")
@click.option("--imgsz", type=IMGSZ, help="Frame size in pixels.  [default: the run's]")
@click.option("--precision", default="fp32", show_default=True, help="Variants to write, separated by commas.")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Frames per call.")
@click.option("--data", metavar="SPEC", help="Where the reference frames come from.  [default: the run's val data]")
@click.option("--split", default="val", show_default=True, help="Split of the data.")
@click.option("--teacher", metavar="RUN", help="Teacher whose labels are recorded.  [default: the run's teacher]")
@click.option("--no-teacher", is_flag=True, help="Record no teacher labels.")
@click.option("--reference", type=click.IntRange(min=1), default=8, show_default=True, help="Reference frames.")
@device_option
@click.option("--overwrite", is_flag=True, help="Replace an artifact that is already there.")
@json_option
def export(run: Path, precision: str, no_teacher: bool, as_json: bool, **options: Any) -> None:
    """Write a run's complete ONNX graphs and their reference.

    The graph takes uint8 frames (N, height, width, 3) and gives uint8 labels (N, height, width); normalisation,
    upsampling and argmax are inside. It is compared with torch before it gets its name.

    Example: segkd export runs/student --data cityscapes:/data/cityscapes --imgsz 512x1024
    """
    for library in ("torch", "safetensors"):
        import_extra(library, "train")
    from segkd_export.artifact import export_artifact
    from segkd_export.sources import ExportRequest

    if no_teacher and options["teacher"] is not None:
        raise SegkdError("--teacher and --no-teacher exclude each other; give one")
    precisions = tuple(name.strip() for name in precision.split(",") if name.strip())
    request = ExportRequest(run=run, precisions=precisions, with_teacher=not no_teacher, **options)
    result = export_artifact(request, say=lambda line: click.echo(line, err=True))
    if as_json:
        print_json(_as_dict(result))
    else:
        _print_table(result)


def _as_dict(result: ExportResult) -> dict[str, Any]:
    variants = {
        name: {**variant.model_dump(), "nodes": result.nodes[name], "check": result.checks[name].to_dict()}
        for name, variant in result.manifest.variants.items()
    }
    reference = result.manifest.reference
    return {
        "artifact": result.folder,
        "variants": variants,
        "reference": {"count": reference.count, "teacher": reference.teacher} if reference is not None else None,
    }


def _print_table(result: ExportResult) -> None:
    click.echo(f"{'variant':<9}{'file':<26}{'MB':>8}{'nodes':>8}{'agreement':>11}")
    for name, variant in result.manifest.variants.items():
        megabytes, nodes, check = variant.bytes / 1e6, result.nodes[name], result.checks[name]
        click.echo(f"{name:<9}{variant.file:<26}{megabytes:>8.2f}{nodes:>8}{check.agreement:>11.6f}")
    click.echo(f"artifact: {result.folder}")
