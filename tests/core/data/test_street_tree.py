"""Street scenes on disk: an ordinary Cityscapes tree, complete or not there."""

from __future__ import annotations

import numpy as np
import pytest

from segkd.data import open_dataset
from segkd.data.readers.cityscapes import CLASSES
from segkd.data.street_scenes import scene, tree, write_tree
from segkd.errors import SegkdError

SIZE = (32, 64)


def test_the_cityscapes_reader_reads_back_what_was_drawn(tmp_path) -> None:
    out, drawn = tmp_path / "deep" / "scenes", []
    assert write_tree(out, 3, 2, SIZE, 5, on_scene=lambda: drawn.append(1)) is True
    assert len(drawn) == 5
    for split, series, count in (("train", 11, 3), ("val", 12, 2)):
        dataset = open_dataset(f"cityscapes:{out}", split=split)
        assert len(dataset) == count
        for index in range(count):
            image, label_ids = scene(series, index, *SIZE)
            sample = dataset.read(index)
            np.testing.assert_array_equal(sample.image, image)
            expected = np.full(SIZE, 255)
            for train_id, scored in enumerate(CLASSES):
                expected[label_ids == scored.label_id] = train_id
            np.testing.assert_array_equal(sample.mask, expected)
    assert open_dataset(f"cityscapes:{out}").ids[0] == "synthstadt_000000_000019"
    assert [path.name for path in out.parent.iterdir()] == ["scenes"]


def test_the_same_tree_is_kept_and_another_needs_force(tmp_path) -> None:
    out = tmp_path / "scenes"
    write_tree(out, 1, 1, SIZE, 0)
    picture = out / "leftImg8bit/val/synthstadt/synthstadt_000000_000019_leftImg8bit.png"
    before = picture.stat().st_mtime_ns
    assert write_tree(out, 1, 1, SIZE, 0) is False
    assert picture.stat().st_mtime_ns == before
    with pytest.raises(SegkdError, match="other settings; replace them with --force"):
        write_tree(out, 1, 2, SIZE, 0)
    assert write_tree(out, 1, 2, SIZE, 0, force=True) is True
    assert len(open_dataset(f"cityscapes:{out}")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]


def test_a_tree_that_lost_a_file_is_not_kept_as_complete(tmp_path) -> None:
    write_tree(tmp_path / "scenes", 1, 1, SIZE, 0)
    next((tmp_path / "scenes/gtFine/train").rglob("*.png")).unlink()
    assert write_tree(tmp_path / "scenes", 1, 1, SIZE, 0, force=True) is True
    assert len(open_dataset(f"cityscapes:{tmp_path / 'scenes'}", split="train")) == 1


@pytest.mark.parametrize("force", [False, True])
def test_other_files_are_never_replaced(tmp_path, force) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SegkdError, match="holds other files"):
        write_tree(tmp_path, 1, 1, SIZE, 0, force=force)
    with pytest.raises(SegkdError, match="is a file"):
        write_tree(tmp_path / "thesis.tex", 1, 1, SIZE, 0, force=force)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_interrupted_run_leaves_nothing_under_the_final_name(tmp_path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    (tmp_path / "scenes").mkdir()
    with pytest.raises(KeyboardInterrupt):
        write_tree(tmp_path / "scenes", 2, 2, SIZE, 0, on_scene=interrupt)
    assert list((tmp_path / "scenes").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]


def test_a_failing_disk_is_one_error(tmp_path, monkeypatch) -> None:
    def full(root, settings, on_scene) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tree, "_write_scenes", full)
    with pytest.raises(SegkdError, match="cannot be written: No space left on device"):
        write_tree(tmp_path / "scenes", 1, 1, SIZE, 0)
    assert list(tmp_path.iterdir()) == []


def test_no_two_splits_share_scenes() -> None:
    trees = [tree.SyntheticTree(1, 1, *SIZE, seed=seed, hard=0.5, thickness=1.7) for seed in range(5)]
    series = [t.series_seed(split) for t in trees for split in ("train", "val")]
    assert len(set(series)) == len(series)


@pytest.mark.parametrize(("train", "val", "seed"), [(0, 0, 0), (-1, 2, 0), (1, 1, -1)])
def test_bad_counts_and_seeds(tmp_path, train, val, seed) -> None:
    with pytest.raises(SegkdError, match="counts and seed of 0 or more"):
        write_tree(tmp_path / "scenes", train, val, SIZE, seed)
