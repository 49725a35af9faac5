"""Numbers about a data set, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segkd.data import open_dataset
from segkd.data.base import DataFileError
from segkd.data.stats import measure, spread
from segkd.errors import SegkdError
from tests.core.data.files import cityscapes, cut_short, folder, photo, save


def test_shares_sizes_and_counts(tmp_path) -> None:
    root = folder(tmp_path, ["a", "b"])
    save(root / "masks/a.png", np.array([[0, 0, 0, 255], [1, 1, 255, 255]], np.uint8))
    save(root / "images/a.png", photo(2, 4))
    save(root / "masks/b.png", np.array([[0]], np.uint8))
    save(root / "images/b.png", photo(1, 1))
    seen = []
    stats = measure(open_dataset(f"folder:{root}", "all"), on_image=lambda: seen.append(1))
    assert stats.class_pixels.tolist() == [4, 2, 0]
    assert stats.class_images.tolist() == [2, 1, 0]
    assert stats.ignored_pixels == 3
    assert stats.labelled_share == pytest.approx(6 / 9)
    np.testing.assert_allclose(stats.class_shares(), [4 / 6, 2 / 6, 0])
    assert dict(stats.sizes) == {(2, 4): 1, (1, 1): 1}
    assert len(seen) == stats.read == stats.images == 2
    plain = stats.to_dict()
    assert plain["height_px"] == {"min": 1, "median": 1.5, "max": 2}
    assert plain["width_px"] == {"min": 1, "median": 2.5, "max": 4}
    assert plain["classes"][1] == {"name": "person", "share": pytest.approx(2 / 6), "pixels": 2, "images": 1}
    assert plain["images_per_s"] > 0
    assert plain["images_per_s"] == pytest.approx(1000 / (plain["image_ms"] + plain["mask_ms"]))


def test_a_sample_is_spread_evenly() -> None:
    assert spread(10, None) == list(range(10))
    assert spread(10, 20) == list(range(10))
    assert spread(10, 4) == [0, 2, 5, 7]
    assert spread(500, 1) == [0]
    assert len(set(spread(999, 100))) == 100


def test_only_the_sample_is_read(tmp_path) -> None:
    root = folder(tmp_path, [f"f{index}" for index in range(4)])
    cut_short(root / "images/f1.png")
    assert measure(open_dataset(f"folder:{root}", "all"), 2).read == 2
    with pytest.raises(DataFileError, match=r"f1\.png"):
        measure(open_dataset(f"folder:{root}", "all"))


def test_frames_and_masks_without_labelled_pixels(tmp_path) -> None:
    save(tmp_path / "plain/a.png", photo(3, 5))
    frames = measure(open_dataset(f"images:{tmp_path}/plain"))
    assert frames.to_dict()["classes"] == []
    assert frames.to_dict()["mask_ms"] is None
    assert math.isnan(frames.labelled_share)
    cityscapes(tmp_path / "city", ["ulm_000000_000019"], value=0)
    void = measure(open_dataset(f"cityscapes:{tmp_path}/city"))
    assert void.labelled_share == 0
    assert np.isnan(void.class_shares()).all()


def test_an_empty_set_is_an_error(tmp_path) -> None:
    root = folder(tmp_path, ["a"])
    (root / "masks/a.png").unlink()
    with pytest.raises(SegkdError, match="no image to read; segkd data check says why"):
        measure(open_dataset(f"folder:{root}", "all", strict=False))
