"""``segkd predict``: overlays and labels of pictures and videos."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from segkd.options import OUT_FOLDER, Number, json_option


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.argument("source", metavar="INPUT", type=click.Path(exists=True, path_type=Path))
@click.option("--out", required=True, type=OUT_FOLDER, help="Folder to write into.")
@click.option("--alpha", type=Number(0, 1), default=0.5, show_default=True, help="Share of class colour.")
@click.option("--labels-only", is_flag=True, help="Label PNGs and no overlay.")
@click.option("--codec", default="auto", show_default=True, help="Of overlay videos: h264, vp9, or mpeg4 (fast).")
@click.option("--skip-damaged", is_flag=True, help="Name files that cannot be decoded and go on.")
@click.option("--variant", help="Variant  [default: fp16 on a GPU where it passed, else fp32]")
@click.option("--precision", help="Instead of --variant: fp32, fp16 or int8 as this runtime runs it best.")
@click.option("--runtime", help="onnxruntime, tensorrt or tensorrt_rtx  [default: the fastest that is there]")
@click.option("--provider", help="What --runtime runs on.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads inside an operator [default: physical cores].")
@json_option
def predict(
    artifact: Path,
    source: Path,
    out: Path,
    alpha: float,
    labels_only: bool,
    skip_damaged: bool,
    codec: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Label pictures and videos with an artifact.

    INPUT is a picture, a folder of pictures or a video file. Pictures get OUT/labels/NAME.png (8 bit grey, class
    numbers from 0) and OUT/overlay/NAME.jpg; a video gets OUT/overlay/NAME.mp4, or with --labels-only
    OUT/labels/NAME/FRAME.png. Pictures of another size than the graph's are resized, and their labels back. An overlay
    video is H.264 where OpenCV can write it, else VP9, which browsers play as well; mpeg4 is 15 times faster to write.

    Frames per second are those of pre, infer and post; reading and writing files are apart.

    \b
    Examples:
      segkd predict artifact drive.mp4 --out drive
      segkd predict artifact frames/ --out labelled --precision int8 --labels-only
    """
    from segkd.files.destinations import require_writable_folder
    from segkd.files.small_files import one_line
    from segkd.options import print_json
    from segkd_deploy.inference.model import load
    from segkd_deploy.inference.predict import Options
    from segkd_deploy.inference.predict import predict as predict_all

    _check_artifact(artifact)
    require_writable_folder(out)
    with load(artifact, say=lambda line: click.echo(line, err=True), **options) as model:
        result = predict_all(model, source, out, Options(alpha, labels_only, skip_damaged, codec), progress=_progress())
    for skipped in result["skipped"]:
        click.echo(f"skipped: {one_line(skipped['path'])}: {skipped['what']}", err=True)
    for note in result["notes"]:
        click.echo(f"note: {one_line(note, 500)}", err=True)
    if as_json:
        print_json(result)
    else:
        _print(result)
    for place in result["written"]:
        click.echo(f"written: {one_line(place, 500)}", err=True)


def _check_artifact(folder: Path) -> None:
    from segkd.errors import SegkdError
    from segkd.folders import is_run

    if is_run(folder):
        raise SegkdError(f"{folder} is a run, not an artifact: `segkd export {folder} --out ARTIFACT` makes one")


def _progress() -> Any:
    """A line on stderr that is written over, where that is a terminal."""
    if not sys.stderr.isatty():
        return lambda done, total: None

    def show(done: int, total: int | None) -> None:
        end = "\n" if done == total else ""
        click.echo(f"\rpredict {done}{'' if total is None else f' of {total}'}{end}", err=True, nl=False)

    return show


def _print(result: dict[str, Any]) -> None:
    from segkd.table import format_table

    parts = [f"{result['frames']} frames"]
    parts += [f"{result['resized']} resized"] * bool(result["resized"])
    parts += [f"{len(result['skipped'])} damaged and skipped"] * bool(result["skipped"])
    click.echo(", ".join(parts))
    click.echo(format_table(("stage", *result["ms"]), [("ms", *(f"{value:.2f}" for value in result["ms"].values()))]))
    fps = result["fps"]
    click.echo(f"{fps['labels']:.1f} frames/s (pre, infer, post); {fps['all']:.1f} with reading and writing")
