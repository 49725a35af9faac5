from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from segkd.data.cache import CachedDataset
from segkd.data.formats.decode import DamagedFileError
from segkd.errors import SegkdError
from segkd.recipe import DataSection
from segkd_distill.data.memory import InMemory
from segkd_distill.data.training_sets import TrainingSets, open_training_sets


@pytest.fixture
def own(streets: Path, tmp_path: Path) -> Path:
    """The street scenes, to be damaged."""
    return Path(shutil.copytree(streets, tmp_path / "own"))


def opened(root: Path, **options: object) -> TrainingSets:
    spec = f"cityscapes:{root}"
    return open_training_sets(DataSection.model_validate({"train": spec, "val": spec, **options}))


def damage(root: Path, split: str, number: int, kind: str = "leftImg8bit") -> Path:
    path = sorted((root / kind / split).rglob("*leftImg8bit.png" if kind == "leftImg8bit" else "*labelIds.png"))[number]
    path.write_bytes(path.read_bytes()[:-20])
    return path


def test_without_a_cache_small_sets_stay_in_memory(streets: Path) -> None:
    sets = opened(streets)
    assert isinstance(sets.train, InMemory) and isinstance(sets.val, InMemory) and sets.unlabelled is None
    assert (sets.first_image_px, sets.val_image_px) == ((64, 128), (64, 128))
    assert set(sets.fingerprints) == {"train", "val"}


def test_a_cache_gives_the_same_pixels(streets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"cache": str(tmp_path / "cache"), "unlabelled": f"cityscapes:{streets},frames=8:"}
    sets, plain = opened(streets, **options), opened(streets, unlabelled=options["unlabelled"])
    assert capsys.readouterr().err.count("cache: decoding") == 3
    assert sets.fingerprints == plain.fingerprints
    assert sets.unlabelled is not None and plain.unlabelled is not None and not sets.unlabelled.has_masks
    for one, other in ((sets.train, plain.train), (sets.val, plain.val)):
        assert isinstance(one, CachedDataset)
        np.testing.assert_array_equal(one.read(3).image, other.read(3).image)
        np.testing.assert_array_equal(one.read(3).mask, other.read(3).mask)
    np.testing.assert_array_equal(sets.unlabelled.read_image(2), plain.unlabelled.read_image(2))
    opened(streets, **options)
    assert "cache" not in capsys.readouterr().err


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("kind", ["leftImg8bit", "gtFine"])
def test_damaged_first_files(own: Path, tmp_path: Path, cache: bool, kind: str) -> None:
    path = damage(own, "train", 0, kind)
    options = {"cache": str(tmp_path / "cache")} if cache else {}
    with pytest.raises(DamagedFileError, match=rf"^{path}: cut short"):
        opened(own, **options)
    sets = opened(own, skip_damaged=True, **options)
    assert len(sets.train) == 20
    with pytest.raises(DamagedFileError, match=rf"^{path}: cut short"):
        sets.train.read(0)


def test_validation_images_are_never_skipped(own: Path, tmp_path: Path) -> None:
    damage(own, "val", 0)
    for options in ({}, {"cache": str(tmp_path / "cache")}):
        with pytest.raises(DamagedFileError, match="cut short"):
            opened(own, skip_damaged=True, **options)


def test_nothing_but_damaged_files(own: Path) -> None:
    for number in range(20):
        damage(own, "train", number)
    with pytest.raises(SegkdError, match=r"none of the 20 training images can be read; the last one: .*cut short"):
        opened(own, skip_damaged=True)


def test_frames_without_labels_are_no_training_set(streets: Path) -> None:
    with pytest.raises(SegkdError, match=r"data\.train has no labels"):
        opened(streets, train=f"images:{streets}")
