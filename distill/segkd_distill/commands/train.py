"""``segkd train``."""

from __future__ import annotations

from typing import Any

import click

from segkd.errors import SegkdError
from segkd_distill.commands.options import recipe_from, run_folder, training_options
from segkd_distill.commands.training import fit_and_print


@click.command()
@training_options
def train(**options: Any) -> None:
    """Train a network on labelled data alone.

    Writes a run folder. Ctrl-C and SIGTERM save it; --resume continues it exactly.

    \b
    Example:
      segkd data synth --out streets
      segkd train --recipe quickstart-teacher --data cityscapes:streets --out runs/teacher
    """
    run = run_folder(options["out"], options["resume"])
    recipe = recipe_from(options, run)
    if recipe.teacher.model is not None or recipe.methods:
        raise SegkdError("this recipe has a teacher or methods: use `segkd distill`")
    fit_and_print(recipe, run, options)
