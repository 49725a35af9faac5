"""Plain frames: images, and nothing that pretends to be a label."""

from __future__ import annotations

import pytest

from segkd.data import open_dataset
from segkd.errors import SegkdError
from tests.core.data.files import photo, save


@pytest.fixture
def frames(tmp_path):
    for name in ("drive2/b.jpg", "drive1/a.png", "c.PNG", ".cache/hidden.png", "notes.txt"):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no picture")
        else:
            save(tmp_path / name, photo())
    return tmp_path


def test_every_picture_below_the_folder_in_a_stable_order(frames) -> None:
    dataset = open_dataset(f"images:{frames}", split="train")
    assert dataset.ids == ["c", "drive1/a", "drive2/b"]
    assert dataset.has_masks is False
    assert dataset.read_image(1).shape == (12, 16, 3)
    assert dataset.mask_path(0) is None
    assert len(open_dataset(f"images:{frames},frames=:2")) == 2


def test_there_are_no_classes_and_no_masks(frames) -> None:
    for dataset in (open_dataset(f"images:{frames}"), open_dataset(f"images:{frames},frames=1:")):
        with pytest.raises(SegkdError, match="no masks, so no classes"):
            _ = dataset.labels
        with pytest.raises(SegkdError, match="has no mask"):
            dataset.read(0)


def test_fingerprint_follows_the_files(frames) -> None:
    before = open_dataset(f"images:{frames}").fingerprint()
    assert open_dataset(f"images:{frames}").fingerprint() == before
    save(frames / "d.png", photo())
    assert open_dataset(f"images:{frames}").fingerprint() != before


def test_two_pictures_of_one_name_and_none_at_all(frames, tmp_path_factory) -> None:
    save(frames / "c.bmp", photo())
    with pytest.raises(SegkdError, match="has the same name as"):
        open_dataset(f"images:{frames}")
    with pytest.raises(SegkdError, match="no pictures"):
        open_dataset(f"images:{tmp_path_factory.mktemp('empty')}")
