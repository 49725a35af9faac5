"""What an export needs, gathered and checked before anything is written: run, frames, teacher, size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from segkd.data import open_dataset
from segkd.data.base import Dataset, LabelSpace
from segkd.errors import SegkdError, unknown_name
from segkd.recipe import Recipe
from segkd_deploy.gates import check_limits
from segkd_distill.device import choose_device
from segkd_distill.models.network import Network
from segkd_distill.models.teachers.teacher import load_teacher
from segkd_export.graph.camera_frame import CameraFrame, CameraOptions
from segkd_export.graph.exporter_errors import refuse_large
from segkd_export.graph.to_onnx import OPSET
from segkd_export.origin import Origin, is_run_name, open_model, open_run
from segkd_export.precision.calibration_data import CalibrationData, gather_calibration
from segkd_export.precision.int8_search import Int8Options
from segkd_export.reference import ReferenceFrames, read_frames

# Precision -> the variants that it writes.
PRECISIONS: dict[str, tuple[str, ...]] = {"fp32": ("fp32",), "fp16": ("fp16",), "int8": ("int8", "int8-cpu")}


@dataclass(frozen=True)
class ExportRequest:
    """What the user asked for.

    Attributes:
        run: a run folder, or the name of a model: ``hf:``, ``timm:``, ``torch:``, or one of ours with weights.
        out: the artifact folder; None for ``run/artifact``.
        weights: weights file of a model's name.
        imgsz: height and width in pixels that the network sees; None for the run's.
        precisions: keys of ``PRECISIONS``; None for the recipe's.
        batch: frames per call, or the smallest and the largest number of them.
        camera: what the camera gives and what is wanted back.
        int8: how int8 is made.
        data: data set of the reference frames; None for the run's validation data.
        split: its split.
        teacher: a run folder or a model's name; None for the run's own teacher.
        with_teacher: whether the reference holds teacher labels.
        reference: number of reference frames.
        device: auto, cpu, cuda or cuda:N; where torch labels the reference frames.
        overwrite: whether an artifact that is there is replaced.
        opset: of every graph, a member of ``segkd_export.graph.to_onnx.OPSETS``.
    """

    run: Path
    out: Path | None = None
    weights: Path | None = None
    imgsz: tuple[int, int] | None = None
    precisions: tuple[str, ...] | None = None
    batch: int | tuple[int, int] = 1
    camera: CameraOptions = field(default_factory=CameraOptions)
    int8: Int8Options = field(default_factory=Int8Options)
    data: str | None = None
    split: str = "val"
    teacher: str | None = None
    with_teacher: bool = True
    reference: int = 8
    device: str = "auto"
    overwrite: bool = False
    opset: int = OPSET


@dataclass(frozen=True)
class Sources:
    """Everything that goes into an artifact.

    Attributes:
        origin: the network.
        imgsz: height and width in pixels that the network sees.
        precisions: keys of ``PRECISIONS``.
        camera: what the graph takes and gives.
        frames: the reference frames.
        fingerprint: of the data set that they come from.
        teacher: the teacher, or None.
        device: where torch runs.
        calibration: training frames; None if int8 was not asked for.
    """

    origin: Origin
    imgsz: tuple[int, int]
    precisions: tuple[str, ...]
    camera: CameraFrame
    frames: ReferenceFrames
    fingerprint: str
    teacher: Network | None
    device: torch.device
    calibration: CalibrationData | None


def gather(request: ExportRequest) -> Sources:
    """Open run, data and teacher.

    Raises:
        SegkdError: for a precision or a batch that cannot be, a network that no file can hold, a folder that is no
            run, data of another label space, a teacher that cannot be loaded, or training frames that are missing or
            validation frames.
        BackendMissing: if the device is not there.
    """
    device = choose_device(request.device)
    origin, dataset = _open(request)
    refuse_large(origin.network)
    recipe, labels = origin.recipe, origin.label_space
    check_limits(recipe.gates or {}, [variant for variants in PRECISIONS.values() for variant in variants])
    precisions = _precisions(request.precisions if request.precisions is not None else recipe.export.precisions)
    imgsz = request.imgsz or recipe.export.imgsz or origin.imgsz
    if imgsz is None:
        raise SegkdError(f"{origin.name} does not say for which size it was trained; name it with --imgsz HxW")
    camera = _camera(request.camera, recipe, imgsz, constants(origin.network.mean))
    calibration = None
    if "int8" in precisions:
        validation = [dataset, *_validation(recipe)]
        options = request.int8
        calibration = gather_calibration(options.data, options.frames, recipe, labels, validation, camera)
    teacher = _open_teacher(request, recipe, labels)
    frames = read_frames(dataset, request.reference, camera)
    return Sources(origin, imgsz, precisions, camera, frames, dataset.fingerprint(), teacher, device, calibration)


def constants(values: torch.Tensor) -> tuple[float, float, float]:
    """Three float32 constants as the shortest decimals that round to them."""
    red, green, blue = (float(str(value)) for value in values.flatten().cpu().numpy())
    return red, green, blue


def _open(request: ExportRequest) -> tuple[Origin, Dataset]:
    """The network and the data of its reference frames."""
    if not is_run_name(request.run):
        if request.data is None:
            raise SegkdError(f"{request.run} has no data of its own; name validation data with --data NAME:PATH")
        dataset = open_dataset(request.data, split=request.split)
        return open_model(str(request.run), request.weights, dataset.labels), dataset
    if request.weights is not None:
        raise SegkdError(f"{request.run} is a run folder and has its own weights; leave out --weights")
    origin = open_run(request.run)
    return origin, _open_data(request, origin.recipe, origin.label_space)


def _precisions(names: Sequence[str]) -> tuple[str, ...]:
    """Without repetitions, in the table's order, so that the first variant is the most exact one."""
    for name in names:
        if name not in PRECISIONS:
            raise unknown_name("precision", name, PRECISIONS)
    if not names:
        raise SegkdError("no precision was named; use --precision fp32")
    return tuple(name for name in PRECISIONS if name in names)


def _camera(
    options: CameraOptions, recipe: Recipe, imgsz: tuple[int, int], mean: tuple[float, float, float]
) -> CameraFrame:
    options = replace(options, frame=options.frame or recipe.export.frame)
    if options.frame is None and (options.resize != "stretch" or options.labels != "frame"):
        raise SegkdError(
            "--resize and --output-size are for a camera's frame of another size; name it with --frame HxW"
        )
    return CameraFrame(imgsz, options, mean)


def _validation(recipe: Recipe) -> list[Dataset]:
    """The run's validation data, if it is still where it was."""
    spec = recipe.data.val or recipe.data.train
    if spec is None:
        return []
    try:
        return [open_dataset(spec, split="val", strict=False)]
    except SegkdError:
        return []


def _open_data(request: ExportRequest, recipe: Recipe, labels: LabelSpace) -> Dataset:
    spec = request.data or recipe.data.val
    if spec is None:
        raise SegkdError(f"{request.run} does not say what its validation data is; name it with --data NAME:PATH")
    dataset = open_dataset(spec, split=request.split)
    if dataset.labels.names != labels.names:
        raise SegkdError(
            f"data {spec!r} has {dataset.labels.num_classes} classes ({', '.join(dataset.labels.names[:3])}, ...), "
            f"the run {labels.num_classes} ({', '.join(labels.names[:3])}, ...); name data of the run's classes"
        )
    return dataset


def _open_teacher(request: ExportRequest, recipe: Recipe, labels: LabelSpace) -> Network | None:
    if not request.with_teacher:
        return None
    wanted = recipe.teacher
    if request.teacher is not None:
        return load_teacher(request.teacher, None, labels, wanted.class_map, fit=wanted.fit)
    if wanted.model is None:
        return None
    try:
        return load_teacher(wanted.model, wanted.weights, labels, wanted.class_map, fit=wanted.fit)
    except SegkdError as error:
        raise SegkdError(
            f"the run's teacher {recipe.teacher.model!r} cannot be loaded ({error}); "
            "name it with --teacher RUN, or do without its labels with --no-teacher"
        ) from error
