from __future__ import annotations

from pathlib import Path

import pytest

from segkd.files import write_atomic
from segkd.recipe import dump_recipe, parse_recipe
from segkd_distill.run.earlier import as_begun


def test_keys_that_came_later_mean_what_they_meant(tmp_path: Path) -> None:
    recipe = parse_recipe({"methods": ["cwd", {"kd": {"weight": 2.0}}]}, [])
    text = dump_recipe(recipe)
    write_atomic(tmp_path / "recipe.yaml", "".join(x for x in text.splitlines(True) if "pseudo_labels" not in x))
    begun = as_begun(recipe, tmp_path)
    assert recipe.teacher.pseudo_labels == 0.5 and begun.teacher.pseudo_labels is None
    assert begun.methods == [{"cwd": {"weight": 1.0}}, {"kd": {"weight": 2.0}}]


@pytest.mark.parametrize("there", [True, False])
def test_a_run_of_today_keeps_its_recipe(tmp_path: Path, there: bool) -> None:
    recipe = parse_recipe({"methods": [{"cwd": {"balance": 1.0}}]}, [])
    if there:
        write_atomic(tmp_path / "recipe.yaml", dump_recipe(recipe))
    assert as_begun(recipe, tmp_path) == recipe
