"""A recipe that extends another one says only what differs, and errors still name the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd.recipe import load_recipe

BASE = """schema: 1
student: {model: a}
train:
  iters: 5
  optimizer:
    sgd: {momentum: 0.5}
methods: [kd, cwd]
"""


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "mine.yaml"


def test_keys_replace_keys_and_everything_else_stays(tmp_path: Path) -> None:
    mine = "extends: base.yaml\ntrain: {batch: 3, optimizer: {adamw: {eps: 0.1}}}\nmethods: [bpkd]\n"
    recipe = load_recipe(write(tmp_path, base=BASE, mine=mine))
    assert (recipe.student.model, recipe.train.iters, recipe.train.batch) == ("a", 5, 3)
    assert recipe.train.optimizer == {"adamw": {"eps": 0.1}}  # as a whole: options are not mixed
    assert recipe.methods == ["bpkd"]


def test_a_chain_and_overrides(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        base=BASE,
        middle="extends: base.yaml\ntrain: {iters: 6, batch: 2}\n",
        mine="extends: middle.yaml\ntrain: {iters: 7}\n",
    )
    recipe = load_recipe(path, ["train.lr=0.5"])
    assert (recipe.train.iters, recipe.train.batch, recipe.train.lr) == (7, 2, 0.5)


def test_a_preset_of_the_base_gives_way_to_the_own_one(tmp_path: Path) -> None:
    path = write(
        tmp_path, base="train: {preset: mmseg-80k, batch: 4}\n", mine="extends: base.yaml\ntrain: {preset: cirkd-40k}\n"
    )
    recipe = load_recipe(path)
    assert (recipe.train.iters, recipe.train.lr, recipe.train.batch) == (40_000, 0.02, 4)


def test_shipped_recipes_are_extended_by_name(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, mine="extends: cityscapes-pspnet-r18\ntrain: {batch: 2}\n"))
    assert (recipe.student.model, recipe.train.batch, recipe.train.iters) == ("pspnet-r18", 2, 80_000)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"mine": "extends: base.yaml\n", "base": "train:\n  itres: 5\n"}, "{0}/base.yaml:2: train.itres: unknown key"),
        (
            {"mine": "extends: base.yaml\ntrain:\n\n  itres: 5\n", "base": "train: {iters: 5}\n"},
            "{0}/mine.yaml:4: train.itres: unknown key",
        ),
        (
            {"mine": "extends: base.yaml\ntrain: {lr: -1}\n", "base": "train: {lr: 5}\n"},
            "{0}/mine.yaml:2: train.lr: must",
        ),
        ({"mine": "\nextends: mine.yaml\n"}, "{0}/mine.yaml:2: extends: mine.yaml leads back to this recipe"),
        (
            {"mine": "extends: base.yaml\n", "base": "extends: mine.yaml\n"},
            "{0}/base.yaml:1: extends: mine.yaml leads back to this recipe",
        ),
        ({"mine": "extends: gone.yaml\n"}, "{0}/mine.yaml:1: extends: no recipe file gone.yaml"),
        (
            {"mine": "extends: cityscapes-pspnet-r19\n"},
            "{0}/mine.yaml:1: extends: unknown recipe 'cityscapes-pspnet-r19'; did you mean 'cityscapes-pspnet-r18'?",
        ),
        ({"mine": "extends: 3\n"}, "{0}/mine.yaml:1: extends: expected the name or file of a recipe, got 3"),
        ({"mine": "extends: [a, b]\n"}, "{0}/mine.yaml:1: extends: expected the name or file of a recipe"),
        ({"mine": "extends: base.yaml\n", "base": "- a\n"}, "{0}/base.yaml: a recipe is made of key: value sections"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, texts: dict[str, str], message: str) -> None:
    with pytest.raises(SegkdError) as error:
        load_recipe(write(tmp_path, **texts))
    assert str(error.value).startswith(message.format(tmp_path))


def test_a_key_without_a_value_leaves_out_the_inherited_one(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("augment: {scale: [0.75, 1.5], crop: 8x8}\ntrain: {iters: 5}\n")
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: base.yaml\naugment: {scale: null, file: a.yaml}\ntrain:\n")
    recipe = load_recipe(mine)
    assert (recipe.augment.scale, recipe.augment.crop, recipe.augment.file) == ((0.5, 2.0), (8, 8), "a.yaml")
    assert recipe.train == load_recipe("own-small", ["train=null"]).train
    mine.write_text("extends: base.yaml\ntrain: {lr: null}\n")
    with pytest.raises(SegkdError, match=r"mine.yaml:2: train.lr: expected a number, got None"):
        load_recipe(mine)
