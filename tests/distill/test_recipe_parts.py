from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segkd.errors import SegkdError
from segkd.recipe import parse_recipe, read_recipe, recipe_names
from segkd_distill.recipe_parts import check_parts
from tests.distill.commands.command_line import segkd, small


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": {"loss": {"ohem": {"threshold": 3}}}}, r"train\.loss\.ohem\.threshold: .*a probability, 0 to 1"),
        ({"train": {"loss": {"ce": {"weight": 3}}}}, r"train\.loss\.ce\.weight: loss ce has no options"),
        (
            {"train": {"optimizer": {"sgd": {"momentum": "x"}}}},
            r"train\.optimizer\.sgd\.momentum: .* like 0\.9",
        ),
        (
            {"train": {"lr": 0.1, "schedule": {"poly": {"min_lr": 1}}}},
            r"train\.schedule\.poly\.min_lr: .*and train\.lr 0\.1",
        ),
        ({"train": {"schedule": "cosine"}}, r"train\.schedule: unknown schedule 'cosine'"),
        ({"methods": ["kd", {"cwd": {"on": "logits", "temp": 1}}]}, r"methods\.1\.cwd\.temp: unknown hyper-parameter"),
        ({"methods": [{"cwd": {"weight": -1}}]}, r"methods\.0\.cwd\.weight: the weight of method cwd"),
        ({"methods": ["kd", "cwd+kd"]}, r"methods: method kd is given twice"),
        (
            {"augment": {"transforms": ["HorizontalFlip", "Blurr"]}},
            r"augment\.transforms\.1: unknown .*'Blur'",
        ),
    ],
)
def test_faults(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SegkdError, match=f"^{message}"):
        check_parts(parse_recipe(values))


def test_what_is_right_passes() -> None:
    loss = {"ohem": {"threshold": 0.5, "min_kept": 10, "min_kept_per": "batch"}}
    train = {"loss": loss, "optimizer": {"adamw": {"eps": 1e-6}}, "schedule": {"poly": {"power": 1.0, "min_lr": 0.0}}}
    methods = ["cwd+kd:0.5", {"brd": {"weight": 0.5}}]
    check_parts(parse_recipe({"train": train, "methods": methods, "augment": {"transforms": ["HorizontalFlip"]}}))
    for name in recipe_names():
        check_parts(*read_recipe(name))


def test_training_stops_before_data_are_opened(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("train:\n  loss: {ohem: {treshold: 1}}\n")
    result = segkd("train", "--recipe", recipe, *small(Path("/nowhere"), tmp_path / "run"))
    assert result.exit_code == 2 and not (tmp_path / "run").exists()
    assert result.stderr == (
        f"segkd: {recipe}:2: train.loss.ohem.treshold: unknown option of ohem 'treshold'; did you mean 'threshold'?\n"
    )
