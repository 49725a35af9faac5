"""The user's own splits are kept, or the user is asked; never pooled."""

from __future__ import annotations

import shutil

import pytest

from segkd.data import open_dataset
from segkd.errors import SegkdError
from tests.core.data.files import folder

NAMES = [f"f{index}" for index in range(12)]


@pytest.mark.parametrize(("train", "val"), [("training", "validation"), ("Train", "Val"), ("TRAIN", "valid")])
def test_other_names_of_splits_are_splits(tmp_path, train, val) -> None:
    folder(tmp_path, NAMES, under=train)
    folder(tmp_path, NAMES[:3], under=val)
    assert [len(open_dataset(f"folder:{tmp_path}", split)) for split in ("train", "val")] == [12, 3]


@pytest.mark.parametrize(
    "under", [("train_set", "val_set"), ("x/train", "x/val"), ("cam1", "test"), ("train2017", "b")]
)
def test_folders_that_look_like_splits_are_not_pooled_unasked(tmp_path, under) -> None:
    for name in under:
        folder(tmp_path, NAMES, under=name)
    with pytest.raises(SegkdError, match="look like splits"):
        open_dataset(f"folder:{tmp_path}", "train")
    assert len(open_dataset(f"folder:{tmp_path}", "all")) == 24
    assert len(open_dataset(f"folder:{tmp_path},val_fraction=0.3", "train")) > 0


def test_names_that_look_like_splits_are_not_pooled_unasked(tmp_path) -> None:
    folder(tmp_path, [f"train_{index}" for index in range(12)])
    assert len(open_dataset(f"folder:{tmp_path}", "train")) > 0
    folder(tmp_path, [f"val_{index}" for index in range(4)])
    with pytest.raises(SegkdError, match=r"the names of train_\d+.png and val_\d+.png look like splits"):
        open_dataset(f"folder:{tmp_path}", "train")
    assert len(open_dataset(f"folder:{tmp_path}", "all")) == 16
    assert len(open_dataset(f"folder:{tmp_path},val_fraction=0.3", "train")) > 0


def test_folders_of_cameras_are_pooled(tmp_path) -> None:
    for name in ("cam1", "valencia", "trainyard"):
        folder(tmp_path, NAMES, under=name)
    assert len(open_dataset(f"folder:{tmp_path}", "train")) > 12


def test_two_folders_for_one_split_and_splits_inside_splits(tmp_path) -> None:
    for name in ("train", "val", "validation"):
        folder(tmp_path, NAMES, under=name)
    with pytest.raises(SegkdError, match="val and validation both stand for the split val"):
        open_dataset(f"folder:{tmp_path}", "val")
    folder(tmp_path, NAMES, under="train/val")
    with pytest.raises(SegkdError, match="train holds a folder of another split, val"):
        open_dataset(f"folder:{tmp_path}", "train")


def test_what_a_wrong_folder_looks_like_is_said(tmp_path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "trainannot").mkdir()
    with pytest.raises(SegkdError, match=f"this looks like camvid:{tmp_path}"):
        open_dataset(f"folder:{tmp_path}")
    shutil.rmtree(tmp_path / "trainannot")
    folder(tmp_path / "inner", NAMES)
    with pytest.raises(SegkdError, match=f"there is {tmp_path}/inner/images"):
        open_dataset(f"folder:{tmp_path}")
