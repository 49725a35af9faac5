"""``segkd eval``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from segkd.errors import SegkdError
from segkd.options import IMGSZ, OUT_FOLDER, Number, class_map_option, json_option, print_json

if TYPE_CHECKING:
    from segkd.evaluation.score import Job

# What --detail measures where no option of its own says otherwise.
TRIMAP_PX, BOUNDARY_F_PX, BOOTSTRAP = (1, 2, 3, 5, 10), 3.0, 1000
BOUNDARY_RATIO, CITYSCAPES_BOUNDARY_RATIO = 0.02, 0.005


@click.command("eval")
@click.argument("source", metavar="SOURCE")
@click.option("--data", metavar="NAME:PATH", help="Images to score; by default a run's validation data.")
@click.option("--split", default="val", show_default=True, help="Split of --data.")
@click.option("--model", metavar="NAME", help="Network of a weights file; see `segkd list models`.")
@click.option("--variant", metavar="NAME", help="Graph of an artifact  [default: fp32]")
@click.option("--provider", default="cpu", show_default=True, help="Provider of an artifact's runtime.")
@class_map_option
@click.option("--fit", type=click.Choice(["tile", "resize"]), help="How images reach a network of one size only.")
@click.option("--protocol", type=click.Choice(["mmseg", "cirkd", "attnfd"]), help="Whose rules; see above.")
@click.option("--mode", type=click.Choice(["whole", "slide"]), default="whole", show_default=True)
@click.option("--crop", type=IMGSZ, help="Sliding window; by default the size that a run was trained for.")
@click.option("--stride", type=IMGSZ, help="Distance of windows; by default two thirds of the crop.")
@click.option("--scales", metavar="S[,S...]", default="1", show_default=True, help="Factors of the image size.")
@click.option("--flip", is_flag=True, help="Average with the mirrored image.")
@click.option("--test-scale", type=IMGSZ, help="Resize images to a short side and a limit of the long, as 512x2048.")
@click.option("--trimap", metavar="PX[,PX...]", help="IoU within these distances of boundaries of the truth.")
@click.option("--no-void-borders", is_flag=True, help="Leave borders with ignored pixels out of the trimap.")
@click.option("--boundary-iou", type=Number(), metavar="RATIO", help="Boundary IoU; width as a share of the diagonal.")
@click.option("--boundary-f", type=Number(), metavar="PX", help="Boundary F; contours match within this distance.")
@click.option("--connectivity", is_flag=True, help="Components: fragmented, missed, spurious.")
@click.option("--bootstrap", type=click.IntRange(min=2), metavar="N", help="95 % intervals over images, from N draws.")
@click.option("--detail", is_flag=True, help="All of the measures above, with their usual parameters.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the bootstrap.")
@click.option("--save-predictions", type=OUT_FOLDER, metavar="DIR", help="Label PNGs.")
@click.option("--worst", type=click.IntRange(min=1), metavar="N", help="Draw the N worst images into OUT/worst.")
@click.option("--out", type=OUT_FOLDER, help="Folder for eval.json and pictures.")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:N]", help="Where a network runs.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; the library's default otherwise.")
@json_option
def evaluate(as_json: bool, **options: Any) -> None:
    """Score a run, a checkpoint or an artifact on a data set.

    SOURCE is a run folder, a weights file (with --model), an artifact folder, or a network that an adapter opens
    (hf:NAME). Per-class IoU and accuracy, mIoU, mAcc and aAcc over the whole set; all sources go through the same
    code.

    A network with other classes than the data is scored through --class-map: a class that is left out has no part in
    the most likely one.

    Without --protocol, images and labels keep their size and means skip absent classes, as mmsegmentation's do.
    mmseg: also the published test scale of ADE20K, VOC, Context and COCO-Stuff. cirkd: logits upsampled with
    align_corners, absent classes count as 0. attnfd: image and labels resized to a short side of 513 first.

    --save-predictions writes DIR/ID.png with the data set's own label values; for Cityscapes
    DIR/ID_pred_labelIds.png, which its evaluation script accepts (CITYSCAPES_RESULTS=DIR). DIR/color has pictures.

    Examples: segkd eval runs/student --detail --worst 10 --out eval; segkd eval psp.pth --model pspnet-r18 --data
    cityscapes:/data/cityscapes --mode slide --crop 769x769
    """
    from segkd.evaluation.score import score
    from segkd.evaluation.table import format_result

    result = score(_job(options))
    if as_json:
        print_json(result)
    else:
        click.echo(format_result(result))


def _job(options: dict[str, Any]) -> Job:
    from segkd.data.remarks import MIN_INTERVAL_IMAGES
    from segkd.evaluation.score import Job
    from segkd.evaluation.sources import default_data
    from segkd.metrics import MetricOptions
    from segkd.recipe.class_map import parse_class_map

    if options["class_map"] is not None:
        options["class_map"] = parse_class_map(options["class_map"])
    detail = options.pop("detail")
    widths_px = _numbers("--trimap", options.pop("trimap"), int)
    ratio, theta_px = options.pop("boundary_iou"), options.pop("boundary_f")
    resamples = options.pop("bootstrap") or 0
    if options["no_void_borders"] and not (widths_px or detail):
        raise SegkdError("--no-void-borders changes the trimap: ask for one with --trimap PX[,PX...] or --detail")
    if detail:
        spec = options["data"] if options["data"] is not None else default_data(options["source"])
        cityscapes = spec.startswith("cityscapes:")
        widths_px = widths_px or TRIMAP_PX
        ratio = ratio or (CITYSCAPES_BOUNDARY_RATIO if cityscapes else BOUNDARY_RATIO)
        theta_px, resamples = theta_px or BOUNDARY_F_PX, resamples or BOOTSTRAP
    metrics = MetricOptions(
        trimap_px=widths_px,
        boundary_ratio=ratio,
        boundary_f_px=theta_px,
        connectivity=options.pop("connectivity") or detail,
        bootstrap=resamples,
        bootstrap_images=MIN_INTERVAL_IMAGES,
        seed=options.pop("seed"),
        void_borders=not options.pop("no_void_borders"),
    )
    scales = _numbers("--scales", options.pop("scales"), float)
    return Job(metrics=metrics, scales=scales, worst=options.pop("worst") or 0, **options)


def _numbers(option: str, text: str | None, kind: type[Any]) -> tuple[Any, ...]:
    """``1,2,3`` as numbers."""
    try:
        return tuple(kind(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise SegkdError(f"{option} {text}: expected numbers separated by commas, as in 1,2,3") from None
