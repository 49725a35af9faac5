from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from segkd.data.base import Dataset, LabelSpace, open_dataset
from segkd.data.cache import open_cached
from segkd.data.formats.decode import DamagedFileError
from segkd.errors import SegkdError
from segkd_distill.data.geometry import Geometry
from segkd_distill.data.loader import Batch, BatchSource, Rows, batches, split_rows
from segkd_distill.data.user_transforms import UserTransforms

GEOMETRY = Geometry(crop=(8, 16), scale=(0.75, 1.5))


class Numbers(Dataset):
    """Image i is filled with i; its mask with class 0."""

    def __init__(self, count: int, prefix: str = "n", broken: int | None = None) -> None:
        self.labels = LabelSpace(("a", "b"), ((0, 0, 0), (1, 1, 1)))
        self.ids = [f"{prefix}{i}" for i in range(count)]
        self.broken = broken

    def image_path(self, index: int) -> Path:
        return Path(f"/nowhere/{self.ids[index]}.png")

    def mask_path(self, index: int) -> Path:
        return Path(f"/nowhere/{self.ids[index]}_mask.png")

    def read_image(self, index: int) -> np.ndarray:
        if index == self.broken:
            raise SegkdError(f"{self.image_path(index)}: cannot be read")
        return np.full((12, 20, 3), index, np.uint8)

    def read_mask(self, index: int) -> np.ndarray:
        return np.zeros((12, 20), np.uint8)


class Unmasked(Numbers):
    """Frames whose masks must never be asked for."""

    def read_mask(self, index: int) -> np.ndarray:
        raise AssertionError("a mask of an unlabelled frame was read")


def source_of(count: int = 10, *, batch: int = 4, unlabelled: Dataset | None = None, seed: int = 1) -> BatchSource:
    rows = split_rows(batch, unlabelled is not None)
    return BatchSource(Numbers(count), unlabelled, rows=rows, geometry=GEOMETRY, seed=seed)


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a[:3], b[:3], strict=True)) and a.ids == b.ids


def test_shapes_and_memory() -> None:
    batch = source_of()[0]
    assert batch.images.shape == (4, 3, 8, 16) and batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.masks.shape == (4, 8, 16) and batch.masks.dtype == torch.uint8
    assert batch.labelled.tolist() == [True] * 4 and len(batch.ids) == 4


def test_an_epoch_sees_every_image_once_and_in_another_order() -> None:
    source = source_of(10, batch=4)
    ids = [name for number in range(5) for name in source[number].ids]  # two epochs
    assert Counter(ids[:10]) == Counter(ids[10:]) == Counter(source.labelled.ids)
    assert ids[:10] != ids[10:]
    assert [source.epoch(number) for number in range(6)] == [0, 0, 0, 1, 1, 2]


def test_fewer_images_than_rows() -> None:
    assert Counter(source_of(3, batch=6)[0].ids) == Counter({"n0": 2, "n1": 2, "n2": 2})


def test_a_batch_depends_on_seed_and_number_alone() -> None:
    fresh = source_of()
    used = source_of()
    for number in (9, 2, 30):
        used[number]
    assert equal(fresh[7], used[7])
    assert not equal(fresh[7], source_of(seed=2)[7])
    assert not torch.equal(fresh[7].images, fresh[8].images)


def test_rows_of_one_image_differ() -> None:
    """Each row has random numbers of its own."""
    noisy = np.random.default_rng(0).integers(0, 255, (12, 20, 3), dtype=np.uint8)
    source = source_of(1, batch=6)
    source.labelled.read_image = lambda index: noisy  # type: ignore[method-assign]
    images = source[0].images
    assert len({image.numpy().tobytes() for image in images}) > 3


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_and_resume_change_nothing(streets: Path, workers: int) -> None:
    data = open_dataset(f"cityscapes:{streets}", split="train")
    source = BatchSource(data, None, rows=Rows(3, 0), geometry=GEOMETRY, seed=0)
    alone = list(batches(source, start=0, stop=6, workers=0))
    together = list(batches(source, start=0, stop=6, workers=workers))
    resumed = list(batches(source, start=4, stop=6, workers=workers))
    assert len(together) == 6 and all(equal(a, b) for a, b in zip(alone, together, strict=True))
    assert all(equal(a, b) for a, b in zip(alone[4:], resumed, strict=True))


@pytest.mark.filterwarnings("error")
def test_more_workers_than_cores_is_one_line_of_our_own(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    for workers, said in ((1, ""), (2, "--workers 2 on 1 CPU cores: 1 may be faster\n")):
        list(batches(source_of(), start=0, stop=1, workers=workers))
        assert capfd.readouterr().err == said


def test_workers_draw_nothing_from_the_runs_generator() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(batches(source_of(), start=0, stop=2, workers=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_mixed_batches() -> None:
    source = source_of(10, batch=5, unlabelled=Unmasked(7, "u"))
    batch = source[0]
    assert batch.labelled.tolist() == [True, True, True, False, False]
    assert [name[0] for name in batch.ids] == ["n", "n", "n", "u", "u"]
    assert (batch.masks[3:] == 255).all()
    seen = Counter(name for number in range(7) for name in source[number].ids if name[0] == "u")
    assert seen == Counter({f"u{i}": 2 for i in range(7)})  # its own epochs: 14 rows are two of them


def test_labelled_rows_do_not_depend_on_the_unlabelled_ones() -> None:
    mixed = source_of(10, batch=8, unlabelled=Unmasked(7, "u"))
    plain = source_of(10, batch=4)
    assert mixed[5].ids[:4] == plain[5].ids
    assert torch.equal(mixed[5].images[:4], plain[5].images)


def test_split_rows() -> None:
    assert split_rows(8, True) == Rows(4, 4)
    assert split_rows(1, False) == Rows(1, 0)
    with pytest.raises(SegkdError, match="needs 2 images"):
        split_rows(1, True)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_is_named_in_one_line(workers: int) -> None:
    source = BatchSource(Numbers(4, broken=2), None, rows=Rows(4, 0), geometry=GEOMETRY, seed=0)
    with pytest.raises(SegkdError, match=r"^/nowhere/n2\.png: cannot be read$"):
        list(batches(source, start=0, stop=1, workers=workers))


PIPELINES = {
    "mmseg": Geometry(crop=(24, 40), short_side=48, long_side=120),
    "cirkd": Geometry(crop=(24, 40), scale_step=0.1, cat_max_ratio=1.0),
    "attnfd": Geometry(crop=(24, 40), short_side=40, cat_max_ratio=1.0, pad_label=0),
    "own": UserTransforms(
        (24, 40),
        [
            {"RandomCrop": {"height": 24, "width": 40}},
            {"OneOf": {"transforms": [{"GaussNoise": {"p": 1.0}}, {"Blur": {"p": 1.0}}], "p": 0.8}},
            {"HorizontalFlip": {}},
        ],
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_no_and_three_workers_give_identical_batches(streets: Path, tmp_path: Path, name: str) -> None:
    data = open_dataset(f"cityscapes:{streets}", split="train")
    cached = open_cached(data, tmp_path, "streets")
    one, other = (BatchSource(d, None, rows=Rows(3, 0), geometry=PIPELINES[name], seed=5) for d in (data, cached))
    alone = list(batches(one, start=0, stop=7, workers=0))
    for source in (one, other):
        together = list(batches(source, start=0, stop=7, workers=3))
        assert len(together) == 7 and all(equal(a, b) for a, b in zip(alone, together, strict=True))
    assert len({batch.images.numpy().tobytes() for batch in alone}) == 7


class Damaged(Numbers):
    """Images 2 and 5 cannot be decoded."""

    def read_image(self, index: int) -> np.ndarray:
        if index in (2, 5):
            raise DamagedFileError(self.image_path(index), "cut short")
        return super().read_image(index)


@pytest.mark.parametrize("workers", [0, 3])
def test_a_damaged_file_in_the_middle_is_named_and_ends_the_run(workers: int) -> None:
    source = BatchSource(Damaged(8), None, rows=Rows(2, 0), geometry=GEOMETRY, seed=0)
    with pytest.raises(SegkdError, match=r"^/nowhere/n[25]\.png: cut short$"):
        list(batches(source, start=0, stop=4, workers=workers))


@pytest.mark.parametrize("workers", [0, 3])
def test_skipped_files_are_counted_and_another_image_stands_in(workers: int) -> None:
    source = BatchSource(Damaged(8), Damaged(8, "u"), rows=Rows(2, 2), geometry=GEOMETRY, seed=0, skip_damaged=True)
    found = list(batches(source, start=0, stop=8, workers=workers))  # two epochs of each set
    skipped = Counter(path for batch in found for path, what in batch.skipped if what == "cut short")
    assert set(skipped) == {f"/nowhere/{kind}{index}.png" for kind in "nu" for index in (2, 5)}
    assert all(count >= 2 for count in skipped.values())
    seen = Counter(name for batch in found for name in batch.ids)
    assert sum(seen.values()) == 32 and set(seen) == {f"{kind}{i}" for kind in "nu" for i in (0, 1, 3, 4, 6, 7)}
    whole = BatchSource(Numbers(8), Numbers(8, "u"), rows=Rows(2, 2), geometry=GEOMETRY, seed=0, skip_damaged=True)
    for damaged, batch in zip(found, batches(whole, start=0, stop=8, workers=0), strict=True):
        assert batch.skipped == ()
        kept = [row for row, name in enumerate(batch.ids) if name[1:] not in "25"]
        assert [damaged.ids[row] for row in kept] == [batch.ids[row] for row in kept]  # the others stay where they were
        assert torch.equal(damaged.images[kept], batch.images[kept])


def test_nothing_but_damaged_files() -> None:
    class Hopeless(Numbers):
        def read_image(self, index: int) -> np.ndarray:
            raise DamagedFileError(self.image_path(index), "cut short")

    source = BatchSource(Hopeless(3), None, rows=Rows(1, 0), geometry=GEOMETRY, seed=0, skip_damaged=True)
    with pytest.raises(SegkdError, match=r"none of the 3 training images can be read; the last one: /nowhere/n\d.png"):
        source[0]


def test_only_damage_is_skipped() -> None:
    source = BatchSource(Numbers(3, broken=1), None, rows=Rows(3, 0), geometry=GEOMETRY, seed=0, skip_damaged=True)
    with pytest.raises(SegkdError, match=r"n1\.png: cannot be read"):
        source[0]
