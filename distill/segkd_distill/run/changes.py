"""What may differ from a run's recipe when it is resumed: places, validation, and steps that change no earlier one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segkd.data.base import parse_spec
from segkd.errors import SegkdError
from segkd.files import sha256_file
from segkd.recipe import Recipe
from segkd_distill.optim import build_schedule

# Places: what lies there is compared with the checkpoint's fingerprints once it is open.
PLACES = ("data.train", "data.val", "data.unlabelled", "teacher.model", "teacher.weights")
# Files that only the beginning of a run reads.
STARTS = ("student.weights", "student.backbone_weights")
# No number of the training depends on these.
FREE = ("eval.", "export.", "gates", "data.cache")
OPTIONS = {
    "data.train": "--data",
    "data.val": "--val",
    "data.unlabelled": "--unlabelled",
    "teacher.model": "--teacher",
    "teacher.weights": "--teacher-weights",
}


def recipe_differences(there: Recipe, here: Recipe) -> list[str]:
    """The keys that keep a recipe from going on with a run of another one, with both values."""
    old, new = (dict(_keys(recipe)) for recipe in (there, here))
    changed = [key for key in old if old[key] != new[key]]
    return [f"{key} is {old[key]!r} there, {new[key]!r} here" for key in changed if not _may_change(key, there, here)]


def require_same_run(run: Path, there: Recipe, here: Recipe) -> None:
    """Refuse a recipe that a run cannot go on with.

    Raises:
        SegkdError: naming the keys that differ, and what to do instead.
    """
    differences = recipe_differences(there, here)
    if not differences:
        return
    new_run = f"--init-from {run} --out OTHER begins a new run from its weights"
    if there.train.iters != here.train.iters and not same_rates(there, here):
        raise SegkdError(
            f"{run} was begun with other settings: {'; '.join(differences)}; its schedule leads down to the last step, "
            f"so other iters mean other learning rates in the steps that are done: {new_run}"
        )
    raise SegkdError(
        f"{run} was begun with other settings: {'; '.join(differences)}; leave them out to resume it ({new_run})"
    )


def same_rates(there: Recipe, here: Recipe) -> bool:
    """Whether two recipes have the same learning rates in every step that both have."""
    old, new = build_schedule(there.train), build_schedule(here.train)
    # Rates are straight lines over a group's factor: what agrees for two factors agrees for all.
    alone = here.train.head_lr_mult == 1 and not here.methods
    factors = (1.0,) if alone else (1.0, 2.0)
    steps = range(min(there.train.iters, here.train.iters))
    return all(old(step, factor) == new(step, factor) for step in steps for factor in factors)


def rules_of_validation(recipe: Recipe) -> str:
    """What decides how a validation scores, as text that can be compared."""
    return recipe.eval.model_dump_json(exclude={"every", "patience"})


def follow_moved_data(recipe: Recipe, own: Recipe) -> Recipe:
    """Where ``data.train`` was moved, look for what lay in the same folder at the new place.

    Args:
        recipe: of the command line, with the run's own keys where the line says nothing.
        own: the run's.
    """
    if recipe.data.train is None or own.data.train is None:
        return recipe
    old_root, new_root = (parse_spec(one.data.train)[1].absolute() for one in (own, recipe) if one.data.train)
    if old_root == new_root:
        return recipe
    moved = {}
    for key in ("val", "unlabelled"):
        spec = getattr(recipe.data, key)
        if spec is None or spec != getattr(own.data, key):
            continue
        name, path, options = parse_spec(spec)
        if path.absolute().is_relative_to(old_root) and not path.exists():
            place = new_root / path.absolute().relative_to(old_root)
            moved[key] = f"{name}:{place}" + "".join(f",{option}={value}" for option, value in options.items())
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=moved)})


def require_places(recipe: Recipe, run: Path) -> None:
    """Say how to name the new place of what a run needs and does not find.

    Raises:
        SegkdError: naming the key, the place and the option.
    """
    for key in PLACES:
        section, name = key.split(".")
        value = getattr(getattr(recipe, section), name)
        path = _path_in(section, value)
        if path is not None and path.is_absolute() and not path.exists():
            raise SegkdError(
                f"{key}: {path} is not there any more; if it was moved, say where: --resume {run} {OPTIONS[key]} "
                f"{'NAME:' if section == 'data' else ''}NEW_PLACE"
            )


def weights_hash(network: nn.Module, file: str | None = None) -> str:
    """A hash of a network's names and tensors, and of the file behind a network that keeps its weights elsewhere."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(content.numpy())
    if file is not None and Path(file).is_file():
        digest.update(sha256_file(Path(file)).encode())
    return digest.hexdigest()[:16]


def _path_in(section: str, value: str | None) -> Path | None:
    """The path of a data specification or of a network's name; None where there is none."""
    if value is None:
        return None
    if section == "data":
        return parse_spec(value)[1]
    return Path(value.removeprefix("hf:")) if ":" not in value.removeprefix("hf:") else None


def _may_change(key: str, there: Recipe, here: Recipe) -> bool:
    if key in PLACES:
        section, name = key.split(".")
        # A run with a teacher and one without are two runs; where they lie is compared later.
        return None not in (getattr(getattr(there, section), name), getattr(getattr(here, section), name))
    if key in STARTS:
        old = getattr(there.student, key.split(".")[1])
        return old is not None and Path(old).is_absolute() and not Path(old).exists()
    if key == "train.iters":
        return here.train.iters > there.train.iters and same_rates(there, here)
    return False


def _keys(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    for section, values in recipe.model_dump(mode="json").items():
        named = {f"{section}.{key}": value for key, value in values.items()} if _is_section(recipe, section) else None
        for key, value in (named if named is not None else {section: values}).items():
            if not key.startswith(FREE):
                yield key, value


def _is_section(recipe: Recipe, name: str) -> bool:
    return hasattr(getattr(recipe, name, None), "model_dump")
