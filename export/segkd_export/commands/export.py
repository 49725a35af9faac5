"""``segkd export``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkd.errors import SegkdError, import_extra
from segkd.options import IMGSZ, OUT_FOLDER, Number, json_option, print_json
from segkd.table import format_table
from segkd_distill.commands.options import device_option

if TYPE_CHECKING:
    from segkd_export.artifact import ExportResult
    from segkd_export.precision.int8_search import Quantised
    from segkd_export.sources import ExportRequest


class BatchType(click.ParamType):  # type: ignore[type-arg]  # older click cannot index it
    """``N``, or ``MIN-MAX``, giving a number or a pair."""

    name = "N|MIN-MAX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | tuple[int, int]:
        """Turn the text into one or two numbers; a bad one is a usage error (exit 2)."""
        if not isinstance(value, str):
            return value if isinstance(value, int) else (int(value[0]), int(value[1]))
        parts = value.split("-")
        if not (1 <= len(parts) <= 2 and all(part.isdecimal() and int(part) for part in parts)):
            self.fail(
                f"{value!r} is no batch; write the number of frames per call, as 1, or a range, as 1-8", param, ctx
            )
        numbers = [int(part) for part in parts]
        if len(numbers) == 1:
            return numbers[0]
        if numbers[0] >= numbers[1]:
            self.fail(f"{value!r}: the first number must be the smaller one, as in 1-8", param, ctx)
        return numbers[0], numbers[1]


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=OUT_FOLDER, help="Artifact folder.  [default: RUN/artifact]")
@click.option("--weights", type=click.Path(path_type=Path), help="Weights file, where RUN is a model's name.")
@click.option("--imgsz", type=IMGSZ, help="Size in pixels that the network sees.  [default: the run's]")
@click.option("--precision", help="fp32, fp16, int8; several separated by commas.  [default: the recipe's]")
@click.option("--batch", type=BatchType(), default="1", show_default=True, help="Frames per call, as 1 or 1-8.")
@click.option(
    "--opset",
    type=click.IntRange(17, 18),
    default=18,
    show_default=True,
    help="ONNX opset; 17 for TensorRT 8.6 (JetPack 6.0).",
)
@click.option("--frame", type=IMGSZ, help="Size of the camera's frame; the graph resizes it.  [default: --imgsz]")
@click.option(
    "--input",
    "color",
    type=click.Choice(["rgb", "bgr", "nv12"]),
    default="rgb",
    show_default=True,
    help="What a frame holds.",
)
@click.option(
    "--yuv",
    type=click.Choice(["bt601", "bt709", "bt601-full", "bt709-full"]),
    default="bt709",
    show_default=True,
    help="How NV12 codes colours; luma 16..235 without -full.",
)
@click.option(
    "--resize",
    type=click.Choice(["stretch", "letterbox"]),
    default="stretch",
    show_default=True,
    help="How the frame becomes --imgsz.",
)
@click.option(
    "--output-size",
    type=click.Choice(["frame", "graph"]),
    default="frame",
    show_default=True,
    help="Labels at the frame's size or at --imgsz.",
)
@click.option("--calibration", metavar="SPEC", help="Training images for int8.  [default: the run's train data]")
@click.option(
    "--calibration-frames", type=click.IntRange(min=1), default=64, show_default=True, help="How many of them."
)
@click.option(
    "--calibration-method",
    type=click.Choice(["auto", "minmax", "percentile", "entropy"]),
    default="auto",
    show_default=True,
    help="Rule for the ranges; auto takes what agrees best on held-out training frames.",
)
@click.option("--sensitivity", is_flag=True, help="Measure what each layer loses in int8.")
@click.option(
    "--min-agreement",
    type=Number(0, 1),
    default=0.995,
    show_default=True,
    help="Keep the worst layers in float until int8 agrees on this share of held-out pixels; 0 for never.",
)
@click.option("--max-drop", type=Number(min=0), help="... and until it loses at most these points of mIoU.")
@click.option("--data", metavar="SPEC", help="Where the reference frames come from.  [default: the run's val data]")
@click.option("--split", default="val", show_default=True, help="Split of the data.")
@click.option("--teacher", metavar="RUN", help="Teacher whose labels are recorded.  [default: the run's teacher]")
@click.option("--no-teacher", is_flag=True, help="Record no teacher labels.")
@click.option("--reference", type=click.IntRange(min=1), default=8, show_default=True, help="Reference frames.")
@device_option
@click.option("--overwrite", is_flag=True, help="Replace an artifact that is already there.")
@click.option("--lint", "with_lint", is_flag=True, help="Check the graphs for --chip, as `segkd lint` does.")
@click.option("--chip", help="Chip for --lint: orin, orin-nano, thor, rtx40, ...")
@json_option
def export(
    run: Path,
    precision: str | None,
    no_teacher: bool,
    with_lint: bool,
    chip: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Write a run's complete ONNX graphs and their reference.

    A graph takes uint8 frames and gives uint8 labels; colours, size, normalisation, upsampling and argmax are inside.
    Frames are RGB or BGR (N, height, width, 3), or NV12 (N, height * 3/2, width). The float32 graph is compared with
    torch before anything gets its name. int8 writes two graphs from one calibration: int8 for TensorRT, int8-cpu.

    RUN is a run folder, or a network as --teacher of `segkd distill` takes it (hf:, timm:, torch:, or a model's name
    with --weights); --data, --imgsz and --out are then needed.

    Example: segkd export runs/student --precision fp32,fp16,int8 --imgsz 512x1024 --frame 1080x1920 --input nv12
    """
    for library in ("torch", "safetensors"):
        import_extra(library, "train")
    from segkd_export.artifact import export_artifact
    from segkd_export.commands.lint import fail_on_errors, lint_target, print_reports
    from segkd_export.lint.lint import lint_artifact

    if no_teacher and options["teacher"] is not None:
        raise SegkdError("--teacher and --no-teacher exclude each other; give one")
    target = lint_target(with_lint, chip)
    request = _request(run, precision, not no_teacher, options)
    _refuse_idle_options(request)
    # A network of the user's may print, and stdout is the result.
    with contextlib.redirect_stdout(sys.stderr):
        result = export_artifact(request, say=lambda line: click.echo(line, err=True))
    reports = [] if target is None else lint_artifact(result.folder, target)
    if as_json:
        print_json({**_as_dict(result), "lint": [report.to_dict() for report in reports]})
    else:
        _print_table(result, with_ranking=request.int8.sensitivity)
        print_reports(reports)
    fail_on_errors(reports)


def _request(run: Path, precision: str | None, with_teacher: bool, options: dict[str, Any]) -> ExportRequest:
    from segkd_export.graph.camera_frame import CameraOptions
    from segkd_export.precision.int8_search import Int8Options
    from segkd_export.sources import ExportRequest

    names = ("color", "yuv", "resize", "frame")
    camera = CameraOptions(labels=options.pop("output_size"), **{name: options.pop(name) for name in names})
    int8 = Int8Options(
        data=options.pop("calibration"),
        frames=options.pop("calibration_frames"),
        method=options.pop("calibration_method"),
        **{name: options.pop(name) for name in ("sensitivity", "min_agreement", "max_drop")},
    )
    precisions = None
    if precision is not None:
        precisions = tuple(name.strip() for name in precision.split(",") if name.strip())
    return ExportRequest(run=run, precisions=precisions, with_teacher=with_teacher, camera=camera, int8=int8, **options)


def _refuse_idle_options(request: ExportRequest) -> None:
    """What is only for int8 is an error where no int8 graph was asked for."""
    if request.precisions is None or "int8" in request.precisions:
        return
    context = click.get_current_context()
    for name in ("calibration", "calibration_frames", "calibration_method", "sensitivity", "min_agreement", "max_drop"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            given = ",".join(request.precisions)
            raise SegkdError(f"--{name.replace('_', '-')} is for int8, and --precision {given} makes none; add int8")


def _as_dict(result: ExportResult) -> dict[str, Any]:
    variants = {
        name: {**part.variant.model_dump(), "nodes": part.nodes, "check": part.check.to_dict()}
        for name, part in result.written.items()
    }
    reference, quantised = result.manifest.reference, result.quantised
    ranking = None if quantised is None or quantised.ranking is None else quantised.ranking
    return {
        "artifact": result.folder,
        "variants": variants,
        "calibration": None if quantised is None else quantised.calibration.model_dump(),
        "sensitivity": None if ranking is None else [row.to_dict() for row in ranking],
        "reference": {"count": reference.count, "teacher": reference.teacher} if reference is not None else None,
    }


def _print_table(result: ExportResult, *, with_ranking: bool) -> None:
    rows = [
        (name, part.variant.file, f"{part.variant.bytes / 1e6:.2f}", str(part.nodes), f"{part.check.agreement:.6f}")
        for name, part in result.written.items()
    ]
    click.echo(format_table(("variant", "file", "MB", "nodes", "agreement"), rows))
    if "fp16" in result.written and (kept := result.written["fp16"].variant.float_layers):
        click.echo(f"fp16: {len(kept)} operators in float32, beyond the range of halves: {', '.join(kept)}")
    if result.quantised is not None:
        _print_int8(result.quantised, with_ranking=with_ranking)
    click.echo(f"artifact: {result.folder}")


def _print_int8(quantised: Quantised, *, with_ranking: bool) -> None:
    found = quantised.calibration
    tried = ", ".join(f"{name} {score['agreement']:.4f}" for name, score in found.scores.items())
    click.echo(f"int8: {found.method} ({found.chosen}) on {len(found.ids)} frames; held-out agreement {tried}")
    drop = found.reached["drop"]
    lost = "" if drop is None else f", mIoU {-drop:+.2f} points"
    click.echo(f"int8: with {len(quantised.float_layers)} layers in float {found.reached['agreement']:.4f}{lost}")
    if quantised.ranking is not None and with_ranking:
        rows = [
            (
                row.layer,
                f"{row.logits_relative_l2:.5f}",
                f"{row.agreement:.6f}",
                "float" if row.layer in quantised.float_layers else "",
            )
            for row in quantised.ranking
        ]
        click.echo(format_table(("layer, quantised alone", "logits L2", "agreement", ""), rows))
