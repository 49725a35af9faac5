"""Presets fill what a recipe does not say, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkd.data.base import DATASETS
from segkd.errors import SegkdError
from segkd.recipe import AugmentSection, TrainSection, dump_recipe, load_recipe, parse_recipe
from segkd.recipe.presets import PIPELINE_SIZES, PIPELINES, SCHEDULES, pipeline_sizes, require_crop


@pytest.mark.parametrize("name", PIPELINES)
def test_every_pipeline_is_valid_and_names_known_data_sets(name: str) -> None:
    part = parse_recipe({"augment": {"pipeline": name}}).augment
    assert set(PIPELINES[name]) == set(PIPELINES["mmseg"])
    assert (part.photometric, part.cat_max_ratio < 1) == (name == "mmseg",) * 2
    assert set(PIPELINE_SIZES[name]) <= set(DATASETS)
    for dataset, keys in PIPELINE_SIZES[name].items():
        assert set(keys) <= set(AugmentSection.model_fields) - set(PIPELINES[name])
        assert parse_recipe({"augment": {"pipeline": name, **keys}}).augment.crop == tuple(keys["crop"]), dataset


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_is_valid(name: str) -> None:
    part = parse_recipe({"train": {"preset": name}}).train
    assert set(SCHEDULES[name]) <= set(TrainSection.model_fields)
    assert {"iters", "lr", "optimizer", "weight_decay", "schedule", "head_lr_mult", "warmup_iters"} <= set(
        SCHEDULES[name]
    )
    assert part.iters == SCHEDULES[name]["iters"]


def test_published_numbers_of_the_schedules() -> None:
    def train(name: str) -> TrainSection:
        return parse_recipe({"train": {"preset": name}}).train

    mmseg = train("mmseg-80k")
    assert (mmseg.iters, mmseg.lr, mmseg.weight_decay) == (80_000, 0.01, 5e-4)
    assert mmseg.schedule == {"poly": {"power": 0.9, "min_lr": 1e-4}}
    segformer = train("mmseg-segformer-160k")
    assert (segformer.lr, segformer.head_lr_mult, segformer.warmup_iters) == (6e-5, 10, 1500)
    cirkd = train("cirkd-40k")
    assert (cirkd.lr, cirkd.weight_decay, cirkd.batch) == (0.02, 1e-4, 16)
    assert train("attnfd-voc").iters == 120 * 10582 // 6
    assert train("attnfd-cityscapes").iters == 200 * 2975 // 6
    assert train("attnfd-voc").optimizer == {"sgd": {"momentum": 0.9, "nesterov": True}}


def test_what_the_recipe_says_wins() -> None:
    recipe = parse_recipe({"augment": {"pipeline": "cirkd", "flip": 0.0}, "train": {"preset": "cirkd-40k", "lr": 1.0}})
    assert (recipe.augment.flip, recipe.augment.scale_step) == (0.0, 0.1)
    assert (recipe.train.lr, recipe.train.iters) == (1.0, 40_000)
    assert parse_recipe({"train": {"preset": "cirkd-40k"}}, ["train.iters=7"]).train.iters == 7


def test_a_dumped_recipe_keeps_what_was_filled_in(tmp_path: Path) -> None:
    recipe = parse_recipe({"augment": {"pipeline": "attnfd", "flip": 0.1}, "train": {"preset": "attnfd-voc"}})
    (tmp_path / "r.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "r.yaml") == recipe


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"augment": {"pipeline": "mmsegg"}}, "augment.pipeline: unknown pipeline 'mmsegg'; did you mean 'mmseg'?"),
        ({"train": {"preset": "mmseg-81k"}}, "train.preset: unknown preset 'mmseg-81k'; did you mean 'mmseg-80k'?"),
        ({"augment": {"pipeline": 3}}, "augment.pipeline: expected text, got 3"),
        ({"augment": {"pipeline": "mmseg", "file": "a.yaml"}}, "augment: pipeline and file exclude each other"),
        (
            {"augment": {"file": "a.yaml", "flip": 0.1, "scale": [1, 1]}},
            "augment: file takes the place of scale, flip; leave out",
        ),
        ({"augment": {"transforms": [3]}}, "augment.transforms.0: expected a name"),
        ({"augment": 3}, "augment: expected a section"),
        ({"train": 3}, "train: expected a section"),
    ],
)
def test_bad_presets(values: dict[str, object], message: str) -> None:
    with pytest.raises(SegkdError) as error:
        parse_recipe(values)
    assert str(error.value).startswith(f"recipe: {message}")


def test_sizes_depend_on_the_data_set() -> None:
    assert pipeline_sizes("mmseg", "ade20k") == {"crop": [512, 512], "short_side": 512, "long_side": 2048}
    assert pipeline_sizes("mmseg", "folder") == {}
    assert pipeline_sizes("attnfd", "pascal_voc")["pad_label"] == 0
    assert "mmseg has no crop for folder (it has for cityscapes, ade20k" in str(require_crop("mmseg", "folder"))


def test_ones_own_transforms_leave_the_colours_alone() -> None:
    assert not parse_recipe({"augment": {"file": "mine.yaml"}}).augment.photometric
    assert parse_recipe({"augment": {"file": "mine.yaml", "photometric": True}}).augment.photometric
