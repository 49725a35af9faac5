"""The decoded copy gives the same pixels, notices every change, and never appears half-made."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from segkd.data.base import Dataset, open_dataset
from segkd.data.cache import CachedDataset, open_cached
from segkd.data.cache_files import needed_bytes, source_stamp
from segkd.data.formats.decode import DamagedFileError
from segkd.errors import SegkdError
from tests.core.data.files import cut_short, folder, photo, save

NAMES = ["a", "b", "c"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images of different sizes, in one split."""
    out = folder(tmp_path / "data", NAMES, under="train")
    (out / "images" / "val").mkdir()
    (out / "masks" / "val").mkdir()
    save(out / "images" / "train" / "b.png", photo(20, 9, seed=4))
    save(out / "masks" / "train" / "b.png", np.ones((20, 9), np.uint8))
    return out


def source_of(root: Path) -> Dataset:
    return open_dataset(f"folder:{root}", "train")


def cached(root: Path, cache: Path, **options: bool) -> CachedDataset:
    return open_cached(source_of(root), cache, f"folder:{root} train", root=root, **options)


def test_the_pixels_are_the_sources_and_cannot_be_written(root: Path, tmp_path: Path) -> None:
    source, copy = source_of(root), cached(root, tmp_path / "cache")
    assert (len(copy), copy.ids, copy.labels, copy.fingerprint()) == (3, NAMES, source.labels, source.fingerprint())
    for index in range(3):
        one, other = source.read(index), copy.read(index)
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.mask, other.mask)
        assert one.id == other.id and not other.image.flags.writeable
        assert copy.image_path(index) == source.image_path(index) and copy.mask_path(index) == source.mask_path(index)


def test_decoding_happens_once(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps: list[int] = []
    open_cached(source_of(root), tmp_path / "cache", "n", on_image=lambda: steps.append(1))
    assert len(steps) == 3
    err = capsys.readouterr().err
    assert "decoding 3 images of n into" in err and "MiB needed" in err and "MiB free" in err
    open_cached(source_of(root), tmp_path / "cache", "n", on_image=lambda: steps.append(1))
    assert len(steps) == 3 and capsys.readouterr().err == ""
    assert needed_bytes(source_of(root), True) == 4 * (2 * 12 * 16 + 20 * 9)
    copies = [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    assert len(copies) == 1 and sum(path.stat().st_size for path in copies[0].glob("*.bin")) == 4 * 564


def test_a_changed_source_is_decoded_again(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = cached(root, tmp_path / "cache")
    old = before.read(0).image.copy()
    path = save(root / "images" / "train" / "a.png", photo(seed=9))
    capsys.readouterr()
    after = cached(root, tmp_path / "cache")
    assert "the source has changed" in capsys.readouterr().err
    np.testing.assert_array_equal(after.read(0).image, photo(seed=9))
    np.testing.assert_array_equal(before.read(0).image, old)  # a run that reads the old copy goes on
    stamp = source_stamp(source_of(root), root)
    os.utime(path, ns=(1, 1))
    assert source_stamp(source_of(root), root) != stamp


def test_another_meaning_of_the_values_is_a_change(root: Path, tmp_path: Path) -> None:
    before = cached(root, tmp_path / "cache").read(0).mask.copy()
    (root / "classes.yaml").write_text("names: {road: {id: 2}, person: {id: 1}, car: {id: 0}}\n")
    after = cached(root, tmp_path / "cache")
    assert after.labels.names == ("road", "person", "car")
    np.testing.assert_array_equal(after.read(0).mask, 2 - before)


@pytest.mark.parametrize("harm", ["index", "short", "gone"])
def test_an_incomplete_copy_is_made_again(root: Path, tmp_path: Path, harm: str) -> None:
    cached(root, tmp_path / "cache")
    (copy,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    if harm == "index":
        (copy / "cache.json").write_text("{")
    elif harm == "short":
        (copy / "images.bin").write_bytes(b"123")
    else:
        (copy / "masks.bin").unlink()
    np.testing.assert_array_equal(cached(root, tmp_path / "cache").read(1).image, photo(20, 9, seed=4))


def test_images_alone(root: Path, tmp_path: Path) -> None:
    copy = cached(root, tmp_path / "cache", with_masks=False)
    assert not copy.has_masks
    np.testing.assert_array_equal(copy.read_image(0), source_of(root).read_image(0))
    cached(root, tmp_path / "cache")  # a copy of its own, beside
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 2


def test_too_little_room(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6, 1000))
    with pytest.raises(SegkdError, match=r"0\.0 MiB needed for 3 images of .*, 0\.0 MiB free; make room"):
        cached(root, tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_a_folder_that_cannot_be_written(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SegkdError, match=r"cache .*file.*: .*choose another folder"):
        cached(root, tmp_path / "file")


def test_damaged_files_stop_or_are_noted(root: Path, tmp_path: Path) -> None:
    mask = cut_short(root / "masks" / "train" / "c.png")
    with pytest.raises(DamagedFileError, match=rf"^{mask}: cut short"):
        cached(root, tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]  # nothing half-made, nothing left
    copy = cached(root, tmp_path / "cache", skip_damaged=True)
    np.testing.assert_array_equal(copy.read(1).image, photo(20, 9, seed=4))
    for read in (copy.read, copy.read_image, copy.read_mask):
        with pytest.raises(DamagedFileError, match=rf"^{mask}: cut short"):
            read(2)
    with pytest.raises(DamagedFileError, match=rf"^{mask}: cut short"):
        cached(root, tmp_path / "cache")  # the same copy, now without the permission to skip


def test_it_can_be_sent_to_a_worker(root: Path, tmp_path: Path) -> None:
    copy = cached(root, tmp_path / "cache")
    data = pickle.dumps(copy)
    assert len(data) < 5000
    np.testing.assert_array_equal(pickle.loads(data).read(1).image, photo(20, 9, seed=4))
    for path in (tmp_path / "cache").glob("*/images.bin"):
        path.write_bytes(b"123")
    with pytest.raises(SegkdError, match="another run has replaced this copy"):
        pickle.loads(data).read(1)


def test_runs_at_the_same_time_decode_once(root: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from segkd.data.base import open_dataset
from segkd.data.cache import open_cached
source = open_dataset("folder:{root}", "train")
steps = []
copy = open_cached(source, Path({str(tmp_path / "cache")!r}), "n", on_image=lambda: steps.append(1))
print(len(steps), int(copy.read(1).image.sum()))
"""
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = sorted(run.communicate()[0].split()[0] for run in runs)
    assert found == ["0", "0", "3"]
