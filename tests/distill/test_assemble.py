from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from segkd.errors import BackendMissing, SegkdError
from segkd.recipe import parse_recipe
from segkd_distill.assemble import Assembly, assemble, resolve_recipe, whole_set
from segkd_distill.data.memory import InMemory
from tests.distill.training import recipe_of, same, save_teacher, weights, write_folder

CPU = torch.device("cpu")


def assembled(streets: Path, *overrides: str) -> Assembly:
    return assemble(resolve_recipe(recipe_of(streets, *overrides)), CPU)


def test_validation_data_are_the_val_split_of_the_whole_set() -> None:
    assert whole_set("cityscapes:/c,frames=:30,split=train") == "cityscapes:/c"
    assert whole_set("folder:/f,images=a,frames=3:9") == "folder:/f,images=a"


def test_resolving_is_done_once_and_makes_paths_absolute(streets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(streets.parent)
    recipe = resolve_recipe(recipe_of(Path(streets.name), f"data.train='cityscapes:{streets.name},frames=:5'"))
    assert recipe.data.train == f"cityscapes:{streets},frames=:5"
    assert recipe.data.val == f"cityscapes:{streets}"
    assert resolve_recipe(recipe) == recipe


def test_parts(streets: Path) -> None:
    parts = assembled(streets)
    assert parts.method is None and parts.adversary_optimizer is None and parts.step.module.teacher is None
    assert parts.imgsz == (64, 128) and parts.labels.num_classes == 19
    assert set(parts.fingerprints) == {"train", "val"}
    assert isinstance(parts.source.labelled, InMemory) and isinstance(parts.val, InMemory)
    batch = parts.source[0]
    assert batch.images.shape == (4, 3, 32, 64)
    wide = next(p for p in parts.student.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1)
    assert wide.is_contiguous(memory_format=torch.channels_last)


def test_the_crop_is_the_whole_image_by_default(streets: Path) -> None:
    assert assembled(streets, "augment.crop=null").source[0].images.shape == (4, 3, 64, 128)


def test_the_seed_sets_the_weights(streets: Path) -> None:
    one, same_seed, other = (assembled(streets, f"train.seed={seed}").student.state_dict() for seed in (1, 1, 2))
    assert same(one, same_seed) and not same(one, other)


def test_teacher_method_and_unlabelled_frames(streets: Path, tmp_path: Path) -> None:
    teacher = save_teacher(tmp_path / "teacher", streets)
    parts = assembled(
        streets,
        f"data.unlabelled='cityscapes:{streets},frames=8:'",
        f"data.train='cityscapes:{streets},frames=:8'",
        f"teacher.model={teacher}",
        "methods=[{cwd: {on: both}}]",
    )
    assert parts.step.module.mixed and parts.step.module.teacher is not None
    assert parts.source[0].labelled.tolist() == [True, True, False, False]
    assert set(parts.fingerprints) == {"train", "val", "unlabelled"}
    grouped = {id(p) for group in parts.optimizer.param_groups for p in group["params"]}
    assert parts.method is not None
    assert grouped == {id(p) for p in (*parts.student.parameters(), *parts.method.parameters())}
    assert not grouped & {id(p) for p in parts.step.module.teacher.parameters()}


def test_weights_to_start_from(streets: Path, tmp_path: Path) -> None:
    start = save_teacher(tmp_path / "start", streets, model="quickstart-mv2")
    parts = assembled(streets, f"student.weights={start}")
    assert same(dict(parts.student.state_dict()), weights(start))
    with pytest.raises(SegkdError, match="no weights file"):
        assembled(streets, "student.weights=nowhere.pth")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.train=null"], "no training data"),
        (["student.model=null"], "no network to train"),
        (["student.model=quickstart-mv3"], "did you mean 'quickstart-mv2'"),
        (["methods=[cwd]"], "methods without a teacher"),
        (
            ["teacher.model=pspnet-r18", "experiment=bpkd-pspnet-r18-cityscapes"],
            "a teacher without a method, in the recipe of a published experiment",
        ),
        (["teacher.weights=w.pth"], "teacher.weights without teacher.model"),
        (["data.unlabelled='images:/nowhere'"], "unlabelled frames without a teacher"),
        (["teacher.model=pspnet-r18", "methods=[cwd]"], "needs weights"),
        (["data.train='cityscapes:/nowhere'"], "no folder /nowhere"),
        (["data.train='cityscapes:{streets},frames=50:'"], "no images"),
        (["train.batch=1", "student.model=pspnet-r18"], "needs --batch 2"),
        (["train.optimizer=adam"], "unknown optimizer"),
        (["train.schedule=cosine"], "unknown schedule"),
    ],
)
def test_what_is_wrong_is_said(streets: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        assembled(streets, *(override.replace("{streets}", str(streets)) for override in overrides))


def test_fp16_needs_a_gpu(streets: Path) -> None:
    with pytest.raises(BackendMissing, match="fp16 needs a GPU"):
        assembled(streets, "train.amp=fp16")


def test_classes_of_train_and_val_must_agree(streets: Path, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "other")
    with pytest.raises(SegkdError, match=r"data\.train has 19 classes .*data\.val 2"):
        assembled(streets, f"data.val='folder:{other}'")


def test_a_teacher_of_other_classes(streets: Path, tmp_path: Path) -> None:
    teacher = save_teacher(tmp_path / "teacher", streets)
    other = write_folder(tmp_path / "other")
    values: dict[str, Any] = {
        "data": {"train": f"folder:{other}"},
        "student": {"model": "quickstart-mv2"},
        "teacher": {"model": str(teacher)},
        "methods": ["cwd"],
    }
    with pytest.raises(SegkdError, match="has 19 classes, the data 2"):
        assemble(resolve_recipe(parse_recipe(values)), CPU)
