"""From a recipe to everything that a training loop needs; whatever is wrong with it is found here."""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from segkd.data.base import Dataset, LabelSpace, absolute_spec, parse_spec
from segkd.errors import SegkdError
from segkd.recipe import Recipe
from segkd.recipe.published import published_numbers
from segkd_distill.balance import GradientBalance
from segkd_distill.class_weights import class_weights
from segkd_distill.data.augment import geometry_of, resolve_augment
from segkd_distill.data.loader import BatchSource, split_rows
from segkd_distill.data.meaning import say_what_a_crop_holds
from segkd_distill.data.training_sets import open_training_sets
from segkd_distill.device import open_fabric, place
from segkd_distill.methods.compose import Composite, build_composite, weighted_methods
from segkd_distill.models.network import Network
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.sources import absolute_model
from segkd_distill.models.teachers.teacher import load_teacher
from segkd_distill.models.zoo import ModelConfig
from segkd_distill.optim import Poly, build_optimizer, build_schedule
from segkd_distill.recipe_parts import check_parts
from segkd_distill.run.changes import weights_hash
from segkd_distill.run.resume import seed_random
from segkd_distill.step import DistillStep
from segkd_distill.student import build_student, check_start
from segkd_distill.task_loss import build_task_loss
from segkd_distill.weight_average import WeightAverage

DEFAULT_METHOD = "cwd"
"""The best single method of docs/results.md in both of its settings; it needs no labels and no taps."""


@dataclass
class Assembly:
    """The parts of a run, ready to train.

    Attributes:
        recipe: as :func:`resolve_recipe` gives it.
        config: the student's architecture.
        labels: the classes.
        imgsz: height and width of the first validation image.
        source: makes the training batches.
        val: the validation set.
        student: on the device, in channels_last memory.
        method: on the device, None without a teacher.
        step: the forward pass, wrapped by Fabric.
        optimizer: of student and method, wrapped by Fabric.
        adversary_optimizer: of the method's adversary, wrapped by Fabric, or None.
        balance: weights the methods that have a share of the gradient; None if all weights are fixed.
        average: averages the student's weights; None without ``train.ema``.
        schedule: step -> learning rate.
        fabric: device and precision.
        fingerprints: of the data sets.
        teacher_hash: of the teacher's weights, None without a teacher.
    """

    recipe: Recipe
    config: ModelConfig
    labels: LabelSpace
    imgsz: tuple[int, int]
    source: BatchSource
    val: Dataset
    student: Segmenter
    method: Composite | None
    step: Any
    optimizer: Any
    adversary_optimizer: Any
    balance: GradientBalance | None
    average: WeightAverage | None
    schedule: Poly
    fabric: Fabric
    fingerprints: dict[str, str]
    teacher_hash: str | None = None

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimisers, for the checkpoint."""
        scaler = getattr(self.fabric.strategy.precision, "scaler", None)
        adversary = self.adversary_optimizer
        return {
            "model": self.student.state_dict(),
            "method": self.method.state_dict() if self.method is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "adversary_optimizer": adversary.state_dict() if adversary is not None else None,
            "balance": self.balance.state_dict() if self.balance is not None else None,
            "average": self.average.state_dict() if self.average is not None else None,
            "scaler": scaler.state_dict() if scaler is not None else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`."""
        self.student.load_state_dict(state["model"])
        if self.method is not None:
            self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.adversary_optimizer is not None:
            self.adversary_optimizer.load_state_dict(state["adversary_optimizer"])
        if self.balance is not None:
            self.balance.load_state_dict(state["balance"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        scaler = getattr(self.fabric.strategy.precision, "scaler", None)
        if scaler is not None and state["scaler"] is not None:
            scaler.load_state_dict(state["scaler"])


def resolve_recipe(recipe: Recipe) -> Recipe:
    """The recipe with its defaults that depend on other keys filled in, and its paths made absolute.

    Methods that name neither a weight nor a balance get their published weight in a published experiment, their default
    balance elsewhere. A teacher without a method gets ``DEFAULT_METHOD``, but in a published experiment.

    Raises:
        SegkdError: if training data or student are missing, the published experiment is unknown, or the section
            ``augment`` does not fit the data set, or a part or option has an unknown name.
    """
    if recipe.data.train is None:
        raise SegkdError("no training data: give --data NAME:PATH, or data.train in the recipe")
    if recipe.student.model is None:
        raise SegkdError(
            "no network to train: give --recipe NAME (for data of your own: own-small for a student, own-large for a "
            "teacher), or --student NAME (`segkd list models`)"
        )

    published_numbers(recipe)
    check_parts(recipe)
    values = recipe.model_dump(by_alias=True)
    data, teacher, student = values["data"], values["teacher"], values["student"]

    # Defaults that depend on other keys, and paths that hold from any folder.
    if data["val"] is None:
        data["val"] = whole_set(recipe.data.train)
    for key in ("train", "val", "unlabelled"):
        if data[key] is not None:
            data[key] = absolute_spec(data[key])
    for section in (teacher, student):
        if section["model"] is not None:
            section["model"] = absolute_model(section["model"])
    for section, key in ((teacher, "weights"), (student, "weights"), (student, "backbone_weights")):
        if section[key] is not None and Path(section[key].partition("#")[0]).expanduser().exists():
            section[key] = str(Path(section[key]).expanduser().absolute())
    if data["cache"] is not None:
        data["cache"] = str(Path(data["cache"]).expanduser().absolute())

    values["augment"] = resolve_augment(recipe)
    published = recipe.experiment is not None
    methods = recipe.methods
    if recipe.teacher.model is not None and not methods and not published:
        print(f"method: {DEFAULT_METHOD}, since none was named", file=sys.stderr)
        methods = [DEFAULT_METHOD]
    values["methods"] = weighted_methods(methods, published=published)
    return Recipe.model_validate(values)


def whole_set(spec: str) -> str:
    """A data specification without what picks a part of the data set."""
    name, path, options = parse_spec(spec)
    rest = [f",{key}={value}" for key, value in options.items() if key not in ("frames", "split")]
    return f"{name}:{path}{''.join(rest)}"


def assemble(recipe: Recipe, device: torch.device, workers: int = 0) -> Assembly:
    """Open the data, build and load the networks, the method and the optimiser.

    Args:
        recipe: as :func:`resolve_recipe` gives it.
        device: where to train.
        workers: loading processes, which share the memory for decoded samples.

    Raises:
        SegkdError: for anything in the recipe that does not fit together or to the data.
        BackendMissing: if the device cannot do the precision.
    """
    check_teaching(recipe)
    check_start(recipe.student)
    rows = split_rows(recipe.train.batch, recipe.data.unlabelled is not None)

    fabric = open_fabric(device, recipe.train.amp)
    data = open_training_sets(recipe.data, workers=workers)
    seed_random(recipe.train.seed)
    student, config = build_student(recipe.student, data.train.labels.num_classes, data.train.labels.names)

    # The networks, at the size of the data.
    crop = recipe.augment.crop or data.first_image_px
    if recipe.augment.short_side is None and recipe.augment.transforms is None:
        say_what_a_crop_holds(crop, data.first_image_px)
    if rows.total == 1:
        _check_single_image(student, crop)
    teacher, method = _build_teaching(recipe, student, data.train.labels)
    teacher_hash = None
    if teacher is not None:
        teacher.check_size(crop[:2])
        teacher_hash = weights_hash(teacher, recipe.teacher.model)
        teacher = place(teacher, device)

    task_loss = build_task_loss(recipe.train.loss, class_weights(recipe.train.class_weights, data.train))
    pseudo_labels = recipe.teacher.pseudo_labels if rows.unlabelled else None
    joined = DistillStep(
        student,
        teacher,
        method,
        mixed=rows.unlabelled > 0,
        task_loss=task_loss,
        pseudo_labels=pseudo_labels,
        self_training=recipe.train.self_training,
    )
    step = fabric.setup_module(place(joined, device))

    adversary_optimizer = method.adversary_optimizer() if method is not None else None
    return Assembly(
        recipe=recipe,
        config=config,
        labels=data.train.labels,
        imgsz=data.val_image_px,
        source=BatchSource(
            data.train,
            data.unlabelled,
            rows=rows,
            geometry=geometry_of(recipe, crop, config.mean),
            seed=recipe.train.seed,
            skip_damaged=recipe.data.skip_damaged,
        ),
        val=data.val,
        student=student,
        method=method,
        step=step,
        optimizer=fabric.setup_optimizers(build_optimizer(recipe.train, student, method)),
        adversary_optimizer=fabric.setup_optimizers(adversary_optimizer) if adversary_optimizer is not None else None,
        balance=GradientBalance(method.shares, student.parameters()) if method is not None and method.shares else None,
        average=WeightAverage(student, recipe.train.ema) if recipe.train.ema is not None else None,
        schedule=build_schedule(recipe.train),
        fabric=fabric,
        fingerprints=data.fingerprints,
        teacher_hash=teacher_hash,
    )


def check_teaching(recipe: Recipe) -> None:
    """Teacher, methods and unlabelled frames come together or not at all.

    Raises:
        SegkdError: naming what is missing.
    """
    has_teacher, has_methods = recipe.teacher.model is not None, bool(recipe.methods)
    if has_methods and not has_teacher:
        raise SegkdError("methods without a teacher: give --teacher RUN, or remove methods from the recipe")
    if has_teacher and not has_methods:
        raise SegkdError(
            "a teacher without a method, in the recipe of a published experiment: give --method NAME "
            "(`segkd list methods`)"
        )
    if recipe.data.unlabelled is not None and not has_teacher:
        raise SegkdError("unlabelled frames without a teacher teach nothing: give --teacher and --method")
    if recipe.train.self_training and (recipe.data.unlabelled is None or recipe.teacher.pseudo_labels is None):
        raise SegkdError("train.self_training needs frames without labels (--unlabelled) and teacher.pseudo_labels")
    if recipe.teacher.weights is not None and not has_teacher:
        raise SegkdError("teacher.weights without teacher.model: name the weights' architecture")
    if recipe.teacher.class_map is not None and not has_teacher:
        raise SegkdError("teacher.class_map without teacher.model: name the teacher, or remove the map")
    if recipe.teacher.fit is not None and not has_teacher:
        raise SegkdError("teacher.fit without teacher.model: name the teacher, or remove it")


def _build_teaching(recipe: Recipe, student: Segmenter, labels: LabelSpace) -> tuple[Network | None, Composite | None]:
    if recipe.teacher.model is None:
        return None, None
    wanted = recipe.teacher
    teacher = load_teacher(recipe.teacher.model, wanted.weights, labels, wanted.class_map, fit=wanted.fit)
    method = build_composite(
        recipe.methods, student=student.tap_info(), teacher=teacher.tap_info(), num_classes=labels.num_classes
    )
    threshold = recipe.teacher.pseudo_labels if recipe.data.unlabelled is not None else None
    print(method.describe(threshold), file=sys.stderr)
    return teacher, method


def _check_single_image(student: Segmenter, crop: tuple[int, ...]) -> None:
    """A batch of one image cannot be normalised where a branch pools it to one pixel."""
    try:
        with torch.no_grad():
            copy.deepcopy(student).train()(torch.zeros(1, 3, *crop[:2]))
    except ValueError as error:
        raise SegkdError(
            "train.batch is 1, but this network pools an image to one pixel and normalises over the batch: "
            "it needs --batch 2 or more"
        ) from error
