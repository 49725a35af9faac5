"""Whether the names in a recipe (data sets, models, methods, losses, options) are ones that segkd knows."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from segkd.data.base import DATASETS, parse_spec
from segkd.errors import SegkdError, unknown_name
from segkd.recipe import Recipe
from segkd.recipe.problems import Places
from segkd.recipe.published import published_numbers

# Prefixes of networks that were built elsewhere; what comes after them is checked where they are opened.
FOREIGN_MODELS = ("hf:", "timm:", "torch:")

# Tables of another room, which core names and never imports by itself; these two need no torch.
MODELS_TABLE = ("segkd_distill.models.catalogue.families", "MODELS")
METHODS_CHECK = ("segkd_distill.methods.parsing", "parse_methods")
# `check_parts(recipe, places)`: loss, optimizer, schedule, methods and transforms, with their options.
PARTS_CHECK = ("segkd_distill.recipe_parts", "check_parts")


def check_names(recipe: Recipe, places: Places | str) -> bool:
    """Check the names in a recipe without reading data or weights.

    Args:
        recipe: the recipe.
        places: where its keys were written, or what messages call all of it.

    Returns:
        True if everything was checked; False where torch is not installed, and options of parts were not.

    Raises:
        SegkdError: ``file:line: key: ...`` for an unknown name or a malformed data specification.
    """
    places = Places(places, {}) if isinstance(places, str) else places
    if not check_table_names(recipe, places):
        return False

    models = _named(*MODELS_TABLE)
    teacher = recipe.teacher.model
    foreign = teacher is not None and teacher.startswith(FOREIGN_MODELS)
    if teacher is not None and not foreign and teacher not in models and not Path(teacher).expanduser().exists():
        place, problem = places.of(("teacher", "model")), unknown_name("model", teacher, models)
        raise SegkdError(f"{place}: teacher.model: {problem} (and there is no run folder {teacher})")

    if importlib.util.find_spec("torch") is None:
        return False
    _named(*PARTS_CHECK)(recipe, places)
    return True


def check_table_names(recipe: Recipe, places: Places) -> bool:
    """Check the names that stand in tables (data sets, experiment, student, methods), without torch.

    Args:
        recipe: the recipe.
        places: where its keys were written.

    Returns:
        False where the room with models and methods is not installed, and the other names alone were checked.

    Raises:
        SegkdError: ``file:line: key: ...`` for an unknown name or a malformed data specification.
    """
    for key in ("train", "val", "unlabelled"):
        spec = getattr(recipe.data, key)
        if spec is not None:
            _check_spec(spec, f"{places.of(('data', key))}: data.{key}")
    try:
        published_numbers(recipe)
    except SegkdError as error:
        raise SegkdError(f"{places.of(('experiment',))}: {error}") from error
    if importlib.util.find_spec("segkd_distill") is None:
        return False

    models = _named(*MODELS_TABLE)
    student = recipe.student.model
    if student is not None and student not in models and not student.startswith(FOREIGN_MODELS):
        place = places.of(("student", "model"))
        raise SegkdError(f"{place}: student.model: {unknown_name('model', student, models)}")

    for index, method in enumerate(recipe.methods):
        try:
            _named(*METHODS_CHECK)([method])
        except SegkdError as error:
            raise SegkdError(f"{places.of(('methods', index))}: methods.{index}: {error}") from error
    return True


def _check_spec(spec: str, place: str) -> None:
    try:
        name, _, _ = parse_spec(spec)
        if name not in DATASETS:
            raise unknown_name("data set", name, DATASETS)
    except SegkdError as error:
        raise SegkdError(f"{place}: {error}") from error


def _named(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)
