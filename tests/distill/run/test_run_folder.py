from __future__ import annotations

from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd.folders import RunFiles
from segkd.recipe import dump_recipe
from segkd_distill.assemble import resolve_recipe
from segkd_distill.run.changes import recipe_differences
from segkd_distill.run.run_folder import check_folder
from tests.distill.training import recipe_of


def test_differences_name_the_key_and_both_values(streets: Path) -> None:
    recipe = recipe_of(streets)
    assert recipe_differences(recipe, recipe) == []
    other = recipe_of(streets, "train.iters=13", "methods=[cwd]")
    assert recipe_differences(recipe, other) == [
        "methods is [] there, ['cwd'] here",
        "train.iters is 8 there, 13 here",
    ]


@pytest.mark.parametrize(
    "name", [RunFiles.CHECKPOINT, f"{RunFiles.CHECKPOINT}.1", RunFiles.RECORD, "student.safetensors"]
)
def test_a_new_run_needs_a_folder_without_one(streets: Path, tmp_path: Path, name: str) -> None:
    check_folder(tmp_path, recipe_of(streets), resume=False)
    (tmp_path / name).write_text("")
    with pytest.raises(SegkdError, match=r"already holds a run, without .* name another folder with --out$"):
        check_folder(tmp_path, recipe_of(streets), resume=False)
    (tmp_path / RunFiles.RECIPE).write_text("")
    (tmp_path / RunFiles.CHECKPOINT).write_text("")
    with pytest.raises(SegkdError, match="already holds a run: continue it with --resume"):
        check_folder(tmp_path, recipe_of(streets), resume=False)


def test_a_resumed_run_needs_its_own_recipe(streets: Path, tmp_path: Path) -> None:
    recipe = resolve_recipe(recipe_of(streets))
    with pytest.raises(SegkdError, match="holds no run to resume"):
        check_folder(tmp_path, recipe, resume=True)
    (tmp_path / RunFiles.RECIPE).write_text(dump_recipe(recipe))
    check_folder(tmp_path, recipe, resume=True)
    with pytest.raises(SegkdError, match=r"other settings: train\.lr is 0\.01 there, 0\.02 here; leave them out"):
        check_folder(tmp_path, resolve_recipe(recipe_of(streets, "train.lr=0.02")), resume=True)
