"""Options that the commands of this room share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkd.errors import SegkdError, import_extra
from segkd.folders import RunFiles
from segkd.options import IMGSZ, OUT_FOLDER, Command, Number, class_map_option, json_option, set_option

if TYPE_CHECKING:
    from segkd.recipe import Recipe
    from segkd.recipe.problems import Places

device_option = click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:N]", help="Where to compute."
)
threads_option = click.option("--threads", type=click.IntRange(min=1), help="CPU threads; torch's default otherwise.")

# Option -> the recipe's key that it overrides.
KEYS: dict[str, str] = {
    "data": "data.train",
    "val": "data.val",
    "unlabelled": "data.unlabelled",
    "cache": "data.cache",
    "skip_damaged": "data.skip_damaged",
    "teacher": "teacher.model",
    "teacher_weights": "teacher.weights",
    "teacher_fit": "teacher.fit",
    "student": "student.model",
    "init_from": "student.weights",
    "backbone_weights": "student.backbone_weights",
    "from_scratch": "student.from_scratch",
    "fresh_classifier": "student.fresh_classifier",
    "method": "methods",
    "imgsz": "augment.crop",
    "iters": "train.iters",
    "batch": "train.batch",
    "optimizer": "train.optimizer",
    "lr": "train.lr",
    "weight_decay": "train.weight_decay",
    "warmup_iters": "train.warmup_iters",
    "amp": "train.amp",
    "seed": "train.seed",
    "eval_every": "eval.every",
}

_count = click.IntRange(min=1)
_positive = Number(min=0, min_open=True)

_OPTIONS: tuple[Callable[[Command], Command], ...] = (
    click.option("--recipe", metavar="FILE|NAME", help="A recipe file or a name of `segkd list recipes`."),
    click.option("--data", metavar="NAME:PATH", help="Labelled training images."),
    click.option("--val", metavar="NAME:PATH", help="Validation images; by default the val split of --data."),
    click.option("--cache", metavar="DIR", help="Folder for a decoded copy of the data, made once and then mapped."),
    click.option(
        "--skip-damaged",
        is_flag=True,
        default=None,
        help="Leave out training files that cannot be read, and count them.",
    ),
    click.option("--student", metavar="NAME", help="Network to train; see `segkd list models`."),
    click.option("--init-from", metavar="RUN|FILE|NAME", help="Weights of the student to start from."),
    click.option("--backbone-weights", metavar="FILE|NAME", help="Weights of its backbone; see `segkd weights list`."),
    click.option("--from-scratch", is_flag=True, default=None, help="Train from random weights."),
    click.option(
        "--fresh-classifier", is_flag=True, default=None, help="Take --init-from for other classes; a new classifier."
    ),
    click.option("--imgsz", type=IMGSZ, help="Height and width of a training crop; by default the whole image."),
    click.option("--iters", type=_count, help="Optimiser steps."),
    click.option("--batch", type=_count, help="Images per step."),
    click.option("--optimizer", type=click.Choice(["sgd", "adamw"])),
    click.option("--lr", type=_positive, help="Learning rate."),
    click.option("--weight-decay", type=Number(min=0)),
    click.option("--warmup-iters", type=click.IntRange(min=0), help="Steps of the linear warm-up."),
    click.option("--eval-every", type=_count, help="Steps between validations; by default a tenth of the run."),
    click.option("--amp", type=click.Choice(["off", "fp16", "bf16"]), help="Mixed precision."),
    click.option("--seed", type=click.IntRange(min=0)),
    set_option,
    click.option("--out", type=OUT_FOLDER, help="Run folder to write."),
    click.option(
        "--resume",
        is_flag=False,
        flag_value="",
        metavar="[RUN]",
        help="Continue the run in this folder, or in --out, exactly where it stopped.",
    ),
    click.option("--save-every", type=_count, help="Steps between checkpoints; by default every 60 seconds."),
    device_option,
    click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Loading processes."),
    threads_option,
    json_option,
)

_TEACHING_OPTIONS: tuple[Callable[[Command], Command], ...] = (
    click.option(
        "--teacher",
        metavar="RUN|NAME|FILE.onnx",
        help="Network to learn from: a run, hf:FOLDER, torch:MODULE:CALLABLE, an ONNX file, or a model's name "
        "(which needs --teacher-weights).",
    ),
    click.option("--teacher-weights", metavar="FILE|NAME", help="Weights of the network that --teacher names."),
    class_map_option,
    click.option(
        "--teacher-fit",
        type=click.Choice(["tile", "resize"]),
        help="How images reach a teacher that takes one size only.",
    ),
    click.option("--method", metavar="NAME[@SHARE|:WEIGHT][+...]", help="Methods; see `segkd list methods`."),
    click.option("--unlabelled", metavar="NAME:PATH", help="Frames without labels for half of each batch."),
)


def training_options(command: Command) -> Command:
    """All options of ``segkd train``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def teaching_options(command: Command) -> Command:
    """The options that ``segkd distill`` has more."""
    for option in reversed(_TEACHING_OPTIONS):
        command = option(command)
    return command


def run_folder(out: Path | None, resume: str | None) -> Path:
    """The run folder that ``--out`` and ``--resume`` name.

    Raises:
        SegkdError: if they name none, or two.
    """
    from segkd.files.destinations import require_writable_folder

    if resume:
        if out is not None and out.absolute() != Path(resume).absolute():
            raise SegkdError(f"--resume {resume} and --out {out} name two runs; a run is resumed in its own folder")
        require_writable_folder(Path(resume), "--resume")
        return Path(resume)
    if out is None:
        raise SegkdError("no run folder: give --out FOLDER" + (", or --resume FOLDER" if resume is not None else ""))
    return out


def require_training() -> None:
    """Stop with one line if a library of the extra ``train`` is missing."""
    for module in ("torch", "lightning_fabric", "safetensors", "segkd_distill.data.geometry"):
        import_extra(module, "train")  # geometry prepares albumentations' import


def recipe_from(options: Mapping[str, Any], run: Path) -> Recipe:
    """The recipe of a command line: recipe file, then named options, then ``--set``.

    Without ``--recipe``, a run that is resumed begins with its own recipe. Names are checked before torch is imported,
    which takes seconds.

    Raises:
        SegkdError: for anything that is wrong in it.
    """
    from segkd.recipe import read_recipe
    from segkd.recipe.names import check_table_names
    from segkd_distill.methods.parsing import parse_methods

    named = {key: options[option] for option, key in KEYS.items() if options.get(option) is not None}
    if "methods" in named:
        named["methods"] = [{name: hyper} for name, hyper in parse_methods([named["methods"]])]
    if options.get("class_map") is not None:
        from segkd.recipe.class_map import parse_class_map

        named["teacher.class_map"] = parse_class_map(options["class_map"])
    overrides = [f"{key}={json.dumps(value)}" for key, value in named.items()] + list(options["overrides"])
    source = options["recipe"]
    if source is None and options["resume"] is not None and (run / RunFiles.RECIPE).is_file():
        source = run / RunFiles.RECIPE
    recipe, places = read_recipe(source, overrides)
    _name_options(places, named)

    # What a run was begun with may lie elsewhere now, and is looked for when it goes on.
    if options["resume"] is None:
        check_table_names(recipe, places)
    require_training()
    from segkd_distill.recipe_parts import check_parts

    check_parts(recipe, places)
    return recipe


def _name_options(places: Places, named: Mapping[str, Any]) -> None:
    """Let messages name the option that a key came from, not the ``--set`` that it stands for."""
    for option, key in KEYS.items():
        path = tuple(key.split("."))
        if key in named and places.of(path) == f"--set {key}={json.dumps(named[key])}":
            places.overwrite(path, f"--{option.replace('_', '-')}")


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Let torch use ``count`` threads, and its own number again afterwards.

    Without a count, torch's own number, but no more than a container's CPU quota allows: more would be throttled.
    """
    import torch

    from segkd.machine.cpus import usable_cores

    before = torch.get_num_threads()
    torch.set_num_threads(min(before, usable_cores()) if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
