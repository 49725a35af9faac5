"""Runs that an earlier segkd began: what their recipe does not say meant something else then, and still does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.folders import RunFiles
from segkd.recipe import Recipe, load_recipe
from segkd_distill.methods.compose import weighted_methods
from segkd_distill.methods.parsing import WEIGHTINGS, parse_methods
from segkd_distill.models.saved_model import load_run
from segkd_distill.run.changes import rules_of_validation


def as_begun(recipe: Recipe, run: Path) -> Recipe:
    """A recipe to resume a run with: defaults that came after the run began are as they were before them.

    A run's own recipe names every key that segkd had then. Without ``teacher.pseudo_labels``, rows without labels had
    none; methods that name neither a weight nor a balance had their published weight.

    Args:
        recipe: as the command line gives it.
        run: the run folder.

    Raises:
        SegkdError: if the run's recipe cannot be read.
    """
    if not (run / RunFiles.RECIPE).is_file():
        return recipe

    there = load_recipe(run / RunFiles.RECIPE)
    update: dict[str, Any] = {}
    if "pseudo_labels" not in there.teacher.model_fields_set:
        update["teacher"] = recipe.teacher.model_copy(update={"pseudo_labels": None})
    if any(not WEIGHTINGS & hyper.keys() for _, hyper in parse_methods(there.methods)):
        update["methods"] = weighted_methods(recipe.methods, published=True)
    return recipe.model_copy(update=update)


def completed_state(state: dict[str, Any], run: Path, teacher_hash: str | None) -> dict[str, Any]:
    """A checkpoint with what came into checkpoints after the run began.

    The weights of the best validation lay in the run folder alone, no rules of validation could change, and the
    teacher was not looked at again.

    Args:
        state: as it was read.
        run: the run folder.
        teacher_hash: of the teacher that is there now.

    Raises:
        SegkdError: if the best weights are in neither place.
    """
    state = {"teacher": teacher_hash, "balance": None, **state}
    best = state["best"]
    if best is None or "weights" in best:
        return state

    try:
        weights = load_run(run).model.state_dict()
    except SegkdError as error:
        raise SegkdError(
            f"{error}; the checkpoint is of an earlier segkd, which kept the best weights there"
        ) from error
    return {
        **state,
        "best": {**best, "weights": weights, "rules": rules_of_validation(load_recipe(run / RunFiles.RECIPE))},
    }
