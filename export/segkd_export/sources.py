"""What an export needs, gathered and checked before anything is written: run, frames, teacher, size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from segkd.data import open_dataset
from segkd.data.base import Dataset, LabelSpace
from segkd.errors import SegkdError, unknown_name
from segkd.recipe import Recipe, load_recipe
from segkd_distill.device import choose_device
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.teachers import load_teacher
from segkd_distill.runs import LoadedRun, load_run
from segkd_export.reference import Frames, read_frames

# Precisions that segkd has names for; fp32 alone is written.
PRECISIONS = ("fp32", "fp16", "int8")

# A run that was trained here has it; one that was imported may not.
RECIPE = "recipe.yaml"


@dataclass(frozen=True)
class ExportRequest:
    """What the user asked for.

    Attributes:
        run: the run folder.
        out: the artifact folder; None for ``run/artifact``.
        imgsz: height and width of the frames in pixels; None for the run's.
        precisions: variants to write.
        batch: frames per call.
        data: data set of the reference frames; None for the run's validation data.
        split: its split.
        teacher: a run folder or a model's name; None for the run's own teacher.
        with_teacher: whether the reference holds teacher labels.
        reference: number of reference frames.
        device: auto, cpu, cuda or cuda:N; where torch labels the reference frames.
        overwrite: whether an artifact that is there is replaced.
    """

    run: Path
    out: Path | None = None
    imgsz: tuple[int, int] | None = None
    precisions: tuple[str, ...] = ("fp32",)
    batch: int = 1
    data: str | None = None
    split: str = "val"
    teacher: str | None = None
    with_teacher: bool = True
    reference: int = 8
    device: str = "auto"
    overwrite: bool = False


@dataclass(frozen=True)
class Sources:
    """Everything that goes into an artifact.

    Attributes:
        run: the run with its network.
        imgsz: height and width of the graph in pixels.
        frames: the reference frames.
        fingerprint: of the data set that they come from.
        teacher: the teacher, or None.
        device: where torch runs.
    """

    run: LoadedRun
    imgsz: tuple[int, int]
    frames: Frames
    fingerprint: str
    teacher: Segmenter | None
    device: torch.device


def gather(request: ExportRequest) -> Sources:
    """Open run, data and teacher.

    Raises:
        SegkdError: for a precision that this segkd does not write, a folder that is no run, data of another label
            space, or a teacher that cannot be loaded.
        BackendMissing: if the device is not there.
    """
    _check_precisions(request.precisions)
    device = choose_device(request.device)
    run = load_run(request.run)
    recipe_file = request.run / RECIPE
    recipe = load_recipe(recipe_file) if recipe_file.is_file() else Recipe()
    imgsz = request.imgsz or recipe.export.imgsz or run.imgsz
    dataset = _open_data(request, recipe, run.label_space)
    teacher = _open_teacher(request, recipe, run.label_space)
    frames = read_frames(dataset, request.reference, (imgsz[0], imgsz[1]))
    return Sources(run, (imgsz[0], imgsz[1]), frames, dataset.fingerprint(), teacher, device)


def _check_precisions(precisions: tuple[str, ...]) -> None:
    for precision in precisions:
        if precision not in PRECISIONS:
            raise unknown_name("precision", precision, PRECISIONS)
        if precision != "fp32":
            raise SegkdError(f"precision {precision} is not written by this segkd; use --precision fp32")
    if not precisions:
        raise SegkdError("no precision was named; use --precision fp32")


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


def _open_teacher(request: ExportRequest, recipe: Recipe, labels: LabelSpace) -> Segmenter | None:
    if not request.with_teacher:
        return None
    if request.teacher is not None:
        return load_teacher(request.teacher, None, labels)
    if recipe.teacher.model is None:
        return None
    try:
        return load_teacher(recipe.teacher.model, recipe.teacher.weights, labels)
    except SegkdError as error:
        raise SegkdError(
            f"the run's teacher {recipe.teacher.model!r} cannot be loaded ({error}); "
            "name it with --teacher RUN, or do without its labels with --no-teacher"
        ) from error
