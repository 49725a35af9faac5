"""Runs that an earlier segkd began: what their recipe does not say meant something else then, and still does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segkd.recipe import Recipe, load_recipe
from segkd_distill.methods.compose import WEIGHTINGS, parse_methods, weighted_methods

RECIPE = "recipe.yaml"


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
    if not (run / RECIPE).is_file():
        return recipe

    there = load_recipe(run / RECIPE)
    update: dict[str, Any] = {}
    if "pseudo_labels" not in there.teacher.model_fields_set:
        update["teacher"] = recipe.teacher.model_copy(update={"pseudo_labels": None})
    if any(not WEIGHTINGS & hyper.keys() for _, hyper in parse_methods(there.methods)):
        update["methods"] = weighted_methods(recipe.methods, published=True)
    return recipe.model_copy(update=update)
