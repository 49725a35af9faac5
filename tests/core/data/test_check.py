"""Everything that is wrong is found in one go."""

from __future__ import annotations

import numpy as np
import pytest

from segkd.data import open_dataset
from segkd.data.check import check_dataset, open_splits, unexpected_counts
from segkd.errors import SegkdError
from tests.core.data.files import cityscapes, cut_short, folder, photo, save

NAMES = [f"frame{index}" for index in range(8)]


def test_every_kind_of_problem_is_named_with_its_file(tmp_path) -> None:
    root = folder(tmp_path, NAMES)
    images, masks = root / "images", root / "masks"
    (masks / "frame0.png").unlink()
    (images / "frame1.png").unlink()
    save(masks / "frame2.png", np.zeros((5, 16), np.uint8))
    save(masks / "frame3.png", np.full((12, 16), 9, np.uint8))
    cut_short(images / "frame4.png")
    cut_short(images / "frame5.png")
    cut_short(masks / "frame5.png")
    save(images / "frame6.jpg", photo())
    seen = []
    dataset = open_dataset(f"folder:{root}", split="all", strict=False)
    problems = [
        (path.relative_to(root).as_posix(), what) for path, what in check_dataset(dataset, lambda: seen.append(1))
    ]
    assert [path for path, _ in problems] == [
        "images/frame6.png",
        "images/frame0.png",
        "masks/frame1.png",
        "masks/frame2.png",
        "masks/frame3.png",
        "images/frame4.png",
        "images/frame5.png",
        "masks/frame5.png",
    ]
    words = [
        "same name",
        "without a mask",
        "without an image",
        "5x16",
        "value 9",
        "cut short",
        "cut short",
        "cut short",
    ]
    assert all(word in what for word, (_, what) in zip(words, problems, strict=True))
    assert len(seen) == len(dataset) == 6


def test_a_sound_set_has_no_problem(tmp_path) -> None:
    assert check_dataset(open_dataset(f"folder:{folder(tmp_path, NAMES)}", split="all")) == []


def test_frames_without_masks_are_checked_once(tmp_path) -> None:
    save(tmp_path / "a.png", photo())
    cut_short(save(tmp_path / "b.png", photo()))
    splits, problems = open_splits(f"images:{tmp_path}", "all")
    assert list(splits) == ["all"]
    assert problems == []
    assert [path.name for path, _ in check_dataset(splits["all"])] == ["b.png"]


def test_all_means_train_and_val_and_a_missing_one_is_a_problem(tmp_path) -> None:
    cityscapes(tmp_path, ["ulm_000000_000019"], split="val")
    splits, problems = open_splits(f"cityscapes:{tmp_path}", "all")
    assert list(splits) == ["val"]
    assert "leftImg8bit/train" in problems[0].what
    splits, problems = open_splits(f"cityscapes:{tmp_path},split=val", "all")
    assert (list(splits), problems) == (["val"], [])
    with pytest.raises(SegkdError, match="leftImg8bit/train"):
        open_splits(f"cityscapes:{tmp_path}", "train")
    with pytest.raises(SegkdError, match="unknown data set"):
        open_splits(f"nothing:{tmp_path}", "all")


def test_a_split_of_only_broken_pairs_is_a_problem(tmp_path) -> None:
    cityscapes(tmp_path, ["ulm_000000_000019"])
    (tmp_path / "leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png").unlink()
    splits, problems = open_splits(f"cityscapes:{tmp_path}", "val")
    assert [what for _, what in problems] == ["split val has no image with a mask"]
    assert "without an image" in check_dataset(splits["val"])[0].what


def test_parts_of_published_splits_are_noticed(tmp_path) -> None:
    root = cityscapes(tmp_path, ["ulm_000000_000019"])
    splits, _ = open_splits(f"cityscapes:{root}", "val")
    assert unexpected_counts(splits) == ["split val has 1 images, the published one 500"]
    chosen, _ = open_splits(f"cityscapes:{root},frames=:1", "val")
    assert unexpected_counts(chosen) == []
    own, _ = open_splits(f"folder:{folder(tmp_path / 'own', NAMES)}", "val")
    assert unexpected_counts(own) == []
