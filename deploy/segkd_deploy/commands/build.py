"""``segkd build``: engines of an artifact's graphs, for this machine's GPU or, with TensorRT-RTX, without one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkd.options import OUT_FOLDER, json_option

if TYPE_CHECKING:
    from segkd_deploy.tensorrt.build import Built


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--variant", "variants", multiple=True, help="Variant of an artifact; may be repeated.  [default: all]")
@click.option("--precision", help="Variants of these precisions, separated by commas.")
@click.option("--runtime", default="tensorrt", show_default=True, help="tensorrt or tensorrt_rtx.")
@click.option("--sm", multiple=True, help="Compute capability to compile for, as in 8.6; tensorrt_rtx, without a GPU.")
@click.option("--batch", default="1-8", show_default=True, help="Batches of a graph that takes any: N, A-B or A-N-B.")
@click.option("--optimization-level", type=click.IntRange(0, 5), help="How long to search.  [default: TensorRT's]")
@click.option("--workspace", "workspace_mib", type=click.IntRange(min=1), help="Scratch memory in MiB.")
@click.option("--tf32", is_flag=True, help="Let float32 products be rounded to TF32: faster, other labels.")
@click.option("--out", type=OUT_FOLDER, help="Also write the engines into this folder.")
@json_option
def build(source: Path, precision: str | None, batch: str, out: Path | None, as_json: bool, **options: Any) -> None:
    """Build TensorRT engines of exported graphs.

    SOURCE is an artifact folder or an ONNX file. Engines for this machine's GPU are kept in the engine cache, where
    bench and validate find them. With tensorrt_rtx and --sm nothing needs a GPU: it is a check that NVIDIA's parser and
    compiler take the graph, and the engine goes to --out alone.

    Example: segkd build runs/student/artifact --runtime tensorrt_rtx --sm 8.6
    """
    from segkd.files.destinations import require_writable_folder
    from segkd.options import print_json
    from segkd_deploy.tensorrt.build import BuildRequest, build_all, parse_batches

    if out is not None:
        require_writable_folder(out)
    precisions = tuple(name.strip() for name in (precision or "").split(",") if name.strip())
    request = BuildRequest(source, precisions=precisions, batches=parse_batches(batch), out=out, **options)
    built = build_all(request, say=lambda line: click.echo(line, err=True))
    if as_json:
        print_json([entry.to_dict() for entry in built])
    else:
        _print(built)


def _print(built: list[Built]) -> None:
    from segkd.table import format_table

    rows = [
        (
            entry.graph.name,
            entry.engine.key.sm,
            str(entry.engine.layers),
            f"{len(entry.engine.plan) / 1e6:.2f}",
            f"{entry.engine.build_s:.1f}",
            "cache" if entry.engine.from_cache else "built",
            "-" if entry.path is None else str(entry.path),
        )
        for entry in built
    ]
    click.echo(format_table(("graph", "SM", "layers", "MB", "seconds", "from", "file"), rows))
