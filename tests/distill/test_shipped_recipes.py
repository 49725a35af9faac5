"""Every shipped recipe can be trained: its models, methods and published numbers exist. Nothing is skipped."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import torch

from segkd.data.base import DATASETS
from segkd.recipe import load_recipe, recipe_names
from segkd.recipe.names import check_names
from segkd.recipe.presets import PIPELINE_SIZES
from segkd.recipe.published import experiments
from segkd_distill.methods import METHODS, build_method, method_class
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import MODELS, build_model
from segkd_distill.optim import build_optimizer, build_schedule

CLASSES = {"cityscapes": 19, "ade20k": 150, "pascal_voc": 21, "pascal_context": 59, "coco_stuff": 171, "camvid": 11}
OWN = {"own-small", "own-large", "cityscapes-pspnet-r18", "quickstart-student", "quickstart-teacher"}


@cache
def on_meta(name: str, num_classes: int = 3) -> Segmenter:
    with torch.device("meta"):
        return build_model(name, num_classes)


def test_how_many_there_are() -> None:
    assert len(recipe_names()) == 74
    groups = Counter(name.partition("-")[0] for name in set(recipe_names()) - OWN)
    assert groups == {"bpkd": 48, "cirkd": 10, "cirkdv2": 3, "attnfd": 4, "skds": 1, "ifvd": 1, "cwd": 1, "mmrazor": 1}
    assert set(experiments()) == set(recipe_names()) - OWN
    assert list(recipe_names())[:2] == ["own-large", "own-small"], "a newcomer reads the first lines"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe(name: str) -> None:
    recipe = load_recipe(name)
    check_names(recipe, name)
    assert not recipe.methods and recipe.teacher.model is None  # --method and --teacher choose
    assert recipe_names()[name].read_text().startswith("# "), "the first line says what it is"
    build_schedule(recipe.train)
    assert len(build_optimizer(recipe.train, on_meta(str(recipe.student.model)), None).param_groups) >= 2
    if name in OWN:
        assert recipe.experiment is None
        return
    assert recipe.experiment == name
    found = experiments()[name]
    assert recipe.student.model == found.student and found.teacher in MODELS
    assert set(found.methods) <= set(METHODS) and found.dataset in DATASETS
    assert recipe.student.from_scratch is name.endswith("-scratch")
    assert recipe.augment.pipeline is not None
    crop = PIPELINE_SIZES[recipe.augment.pipeline][found.dataset]["crop"]
    usual = {"skds", "ifvd", "cwd"}.isdisjoint(name.split("-")) and "40k" not in name and "segformer" not in name
    assert not usual or recipe.augment.crop == tuple(crop)


@pytest.mark.long
@pytest.mark.parametrize("pair", sorted({(e.teacher, e.student, e.dataset) for e in experiments().values()}))
def test_every_pair_serves_every_method(pair: tuple[str, str, str]) -> None:
    teacher_name, student_name, dataset = pair
    taps = [on_meta(name, CLASSES[dataset]).tap_info() for name in (student_name, teacher_name)]
    with torch.device("meta"):
        for name in METHODS:
            method = build_method(name, student=taps[0], teacher=taps[1], num_classes=CLASSES[dataset])
            assert isinstance(method, method_class(name))


def test_reduced_and_other_variants_differ_in_what_they_say() -> None:
    full, reduced = load_recipe("bpkd-hrnet-w18s-context"), load_recipe("bpkd-hrnet-w18s-context-40k")
    assert (full.train.iters, full.augment.crop, full.train.batch) == (80_000, (480, 480), 16)
    assert (reduced.train.iters, reduced.augment.crop, reduced.train.batch) == (40_000, (512, 512), 16)
    assert (full.augment.short_side, full.augment.long_side) == (520, 520)
    assert load_recipe("bpkd-isanet-r18-cityscapes").augment.crop == (512, 1024)
    assert load_recipe("cirkd-deeplabv3-r18-coco-stuff").train.iters == 80_000
    voc, streets = load_recipe("attnfd-deeplabv3plus-r18-voc"), load_recipe("attnfd-deeplabv3plus-r18-cityscapes")
    assert (voc.augment.pad_label, streets.augment.pad_label) == (0, 255)
    assert (voc.train.lr, streets.train.lr) == (0.007, 0.01)
    assert load_recipe("cwd-pspnet-r18-cityscapes").train == load_recipe("skds-pspnet-r18-cityscapes").train
    assert load_recipe("cirkd-segformer-b0-cityscapes").train.lr == 2e-4


def test_recipes_that_extend_are_short() -> None:
    for path in recipe_names().values():
        text = path.read_text()
        if "extends:" in text:
            assert len([line for line in text.splitlines() if line and line[0] != "#"]) <= 6, path
    assert Path(recipe_names()["bpkd-pspnet-r18-cityscapes"]).name == "bpkd-pspnet-r18-cityscapes.yaml"
