"""``segkd distill``."""

from __future__ import annotations

from typing import Any

import click

from segkd.errors import SegkdError
from segkd_distill.commands.options import recipe_from, run_folder, teaching_options, training_options
from segkd_distill.commands.training import fit_and_print


@click.command()
@teaching_options
@training_options
def distill(**options: Any) -> None:
    """Train a student from a teacher.

    The teacher is another run, a model's name with a weights file, or a network that was built elsewhere
    (docs/teachers.md). Its classes are mapped to the data's by name; it is never changed. Writes a run folder as
    `segkd train` does.

    Without --method, cwd is used: the best single method of docs/results.md, with few labels and with all, and one
    that needs neither labels nor taps. NAME@SHARE keeps the gradient of a method at this share of the task's, which is
    what a bare NAME does with its default share; NAME:WEIGHT takes the published terms times a number.

    \b
    Example:
      segkd distill --recipe quickstart-student --data cityscapes:streets,frames=:30 --val cityscapes:streets \\
        --unlabelled cityscapes:streets,frames=30: --teacher runs/teacher --method cwd --out runs/distilled
    """
    run = run_folder(options["out"], options["resume"])
    recipe = recipe_from(options, run)
    if recipe.teacher.model is None:
        raise SegkdError("no teacher: give --teacher RUN (without one, use `segkd train`)")
    fit_and_print(recipe, run, options)
