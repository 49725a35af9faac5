"""Folders of one's own images: formats, splits, and what goes wrong."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from segkd.data import open_dataset
from segkd.data.base import DataFileError
from segkd.data.readers.folder import Folder, in_val
from segkd.errors import SegkdError
from tests.core.data.files import folder, photo, save, save_palette

COLOURS = """
names:
  road: {color: [128, 64, 128]}
  person: {color: [220, 20, 60]}
ignore: [[0, 0, 0]]
"""


def names(count: int) -> list[str]:
    return [f"frame{index:04d}" for index in range(count)]


def test_index_palette_and_colour_masks_mean_the_same(tmp_path) -> None:
    root = folder(tmp_path, names(3), COLOURS)
    indices = np.tile(np.array([0, 1], np.uint8), (12, 8))
    palette = np.array([[128, 64, 128], [220, 20, 60]], np.uint8)
    save(root / "masks/frame0000.png", indices)
    save_palette(root / "masks/frame0001.png", indices, [1, 2, 3, 9, 9, 9])
    save(root / "masks/frame0002.png", palette[indices])
    dataset = open_dataset(f"folder:{root}", split="all")
    assert dataset.labels.palette == ((128, 64, 128), (220, 20, 60))
    for index in range(3):
        np.testing.assert_array_equal(dataset.read(index).mask, indices)


def test_ignored_values_and_colours_become_255(tmp_path) -> None:
    root = folder(tmp_path, names(2), COLOURS.replace("[[0, 0, 0]]", "[[0, 0, 0], 9]"))
    save(root / "masks/frame0000.png", np.full((12, 16), 9, np.uint8))
    save(root / "masks/frame0001.png", np.zeros((12, 16, 3), np.uint8))
    dataset = open_dataset(f"folder:{root}", split="all")
    assert (dataset.read_mask(0) == 255).all()
    assert (dataset.read_mask(1) == 255).all()


def test_undeclared_values_and_colours_say_where_to_declare_them(tmp_path) -> None:
    root = folder(tmp_path, names(2), COLOURS)
    save(root / "masks/frame0000.png", np.full((12, 16), 3, np.uint8))
    save(root / "masks/frame0001.png", np.full((12, 16, 3), 5, np.uint8))
    dataset = open_dataset(f"folder:{root}", split="all")
    with pytest.raises(DataFileError, match=r"frame0000.png: undeclared value 3; declare it in .*classes.yaml"):
        dataset.read(0)
    with pytest.raises(DataFileError, match=r"frame0001.png: undeclared colour \(5, 5, 5\); declare it in .*classes"):
        dataset.read(1)


def test_colour_masks_need_colours(tmp_path) -> None:
    root = folder(tmp_path, names(1))
    save(root / "masks/frame0000.png", photo())
    with pytest.raises(DataFileError, match=r"a colour picture; give every class in .*classes.yaml a color"):
        open_dataset(f"folder:{root}", split="all").read_mask(0)


def test_images_of_any_format_find_their_mask(tmp_path) -> None:
    root = folder(tmp_path, [])
    for name in ("a.png", "b.JPG", "c.jpeg", "d.bmp", "sub/e.webp"):
        save(root / "images" / name, photo())
        save((root / "masks" / name).with_suffix(".png"), np.zeros((12, 16), np.uint8))
    save(root / "images/.thumbnails/a.png", photo())
    dataset = open_dataset(f"folder:{root}", split="all")
    assert dataset.ids == ["a", "b", "c", "d", "sub/e"]
    assert dataset.read(4).image.shape == (12, 16, 3)


def test_split_folders_are_the_splits(tmp_path) -> None:
    for split, count in (("train", 3), ("val", 2), ("night", 1)):
        folder(tmp_path, names(count), under=split)
    assert [len(open_dataset(f"folder:{tmp_path}", split=split)) for split in ("train", "val", "night")] == [3, 2, 1]
    assert open_dataset(f"folder:{tmp_path}").ids == ["frame0000", "frame0001"]
    with pytest.raises(SegkdError, match=r"no folder .*test; unknown split 'test'"):
        open_dataset(f"folder:{tmp_path}", split="test")
    with pytest.raises(SegkdError, match="val_fraction has no use"):
        open_dataset(f"folder:{tmp_path},val_fraction=0.2")


def test_val_fraction_splits_without_overlap_and_later_images_move_none(tmp_path) -> None:
    root = folder(tmp_path, names(60))
    spec = f"folder:{root},val_fraction=0.3"
    train, val = (set(open_dataset(spec, split=split).ids) for split in ("train", "val"))
    assert train | val == set(names(60))
    assert not train & val
    folder(root, [f"later{index}" for index in range(20)])
    assert {name for name in open_dataset(spec, split="val").ids if name.startswith("frame")} == val
    larger = set(open_dataset(f"folder:{root},val_fraction=0.5", split="val").ids)
    assert val < larger


def test_a_tenth_is_for_validation_by_default(tmp_path) -> None:
    assert 0.08 < np.mean([in_val(name, 0.1) for name in names(3000)]) < 0.12
    root = folder(tmp_path, names(40))
    assert open_dataset(f"folder:{root}").ids == [name for name in names(40) if in_val(name, 0.1)]


def test_few_validation_images_name_a_val_fraction_that_gives_enough(tmp_path) -> None:
    root = folder(tmp_path, names(40))
    (remark,) = open_dataset(f"folder:{root}").remarks
    fraction = remark.split("val_fraction=")[1].split()[0]
    assert remark.startswith(f"val got {len(open_dataset(f'folder:{root}'))} of 40 images")
    larger = open_dataset(f"folder:{root},val_fraction={fraction}")
    assert len(larger) >= 8 and not larger.remarks
    assert not open_dataset(f"folder:{root}", "train").remarks


def test_a_split_without_images_says_how_to_get_some(tmp_path) -> None:
    root = folder(tmp_path, ["frame0000"])
    with pytest.raises(SegkdError, match=r"none of 1 images falls into val at val_fraction=0.1; change val_fraction"):
        open_dataset(f"folder:{root}")
    (root / "images/frame0000.png").unlink()
    (root / "masks/frame0000.png").unlink()
    with pytest.raises(SegkdError, match="no pictures"):
        open_dataset(f"folder:{root}")


@pytest.mark.parametrize("value", ["0", "1", "-0.5", "half", "nan"])
def test_val_fraction_is_a_share(tmp_path, value) -> None:
    root = folder(tmp_path, names(1))
    with pytest.raises(SegkdError, match=f"val_fraction={value}: expected a number above 0 and below 1"):
        open_dataset(f"folder:{root},val_fraction={value}")


def test_two_images_of_one_name_are_a_problem(tmp_path) -> None:
    root = folder(tmp_path, ["a"])
    save(root / "images/a.jpg", photo())
    with pytest.raises(SegkdError, match=r"a\.png: has the same name as .*a\.jpg; rename or remove one"):
        open_dataset(f"folder:{root}", split="all")


def test_missing_parts_are_named(tmp_path) -> None:
    with pytest.raises(SegkdError, match=r"no folder .*images; expected images, masks and classes.yaml"):
        Folder(tmp_path)
    save(tmp_path / "images/a.png", photo())
    with pytest.raises(SegkdError, match=r"no folder .*masks; frames without masks are images:"):
        Folder(tmp_path)
    (tmp_path / "masks").mkdir()
    with pytest.raises(SegkdError, match=r"no .*classes.yaml"):
        Folder(tmp_path)
    folder(tmp_path, ["a"])
    with pytest.raises(SegkdError, match="unknown split 'test'"):
        Folder(tmp_path, split="test")


def test_missing_partners_belong_to_their_split(tmp_path) -> None:
    root = folder(tmp_path, names(40))
    lost = next(name for name in names(40) if in_val(name, 0.1))
    (root / f"masks/{lost}.png").unlink()
    assert len(open_dataset(f"folder:{root}", split="train").problems) == 0
    with pytest.raises(SegkdError, match=f"{lost}.png: image without a mask; expected .*masks/{lost}.png"):
        open_dataset(f"folder:{root}", split="val")


def test_names_with_endings_are_paired(tmp_path) -> None:
    root = folder(tmp_path, [])
    save(root / "images/a.jpg", photo())
    save(root / "masks/a_mask.png", np.zeros((12, 16), np.uint8))
    with pytest.raises(SegkdError, match="image without a mask"):
        open_dataset(f"folder:{root}", "all")
    assert open_dataset(f"folder:{root}, mask_suffix=_mask", "all").ids == ["a"]
    save(root / "masks/b.png", np.zeros((12, 16), np.uint8))
    with pytest.raises(SegkdError, match=r"b\.png: has a name that does not end in _mask"):
        open_dataset(f"folder:{root},mask_suffix=_mask", "all")


def test_masks_of_another_kind_are_read_or_named(tmp_path) -> None:
    root = folder(tmp_path, ["a"])
    for name in ("b.bmp", "c.tif", "d.gif"):
        save((root / "images" / name).with_suffix(".png"), photo())
        save(root / "masks" / name, np.full((12, 16), 1, np.uint8))
    dataset = open_dataset(f"folder:{root}", "all")
    assert dataset.ids == ["a", "b", "c", "d"]
    assert all((dataset.read_mask(index) == 1).all() for index in (1, 2, 3))
    (root / "masks/a.png").unlink()
    save(root / "masks/a.jpg", np.zeros((12, 16), np.uint8))
    with pytest.raises(SegkdError, match=r"expected .*masks/a\.png; .*masks/a\.jpg is there, but JPEG"):
        open_dataset(f"folder:{root}", "all")


def test_links_and_what_is_left_out(tmp_path) -> None:
    root, more = folder(tmp_path / "data", ["a"]), folder(tmp_path / "more", ["b"])
    for kind in ("images", "masks"):
        (root / kind / "cam").symlink_to(more / kind)
    save(root / "images/c.tif", photo())
    dataset = open_dataset(f"folder:{root}", "all")
    assert dataset.ids == ["a", "cam/b"]
    (remark,) = dataset.remarks
    assert "left out 1 file of other kinds (1 .tif; for example" in remark
    (root / "images/d.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SegkdError, match=r"d\.png: link whose target is not there"):
        open_dataset(f"folder:{root}", "all")


def test_masks_drawn_on_the_stored_picture_are_refused_with_the_reason(tmp_path) -> None:
    root = folder(tmp_path, ["a"])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo()).save(root / "images/a.png", exif=exif)
    with pytest.raises(DataFileError, match="its image 16x12 once turned upright by its EXIF orientation 6"):
        open_dataset(f"folder:{root}", "all").read(0)


def test_names_that_are_no_text_are_problems(tmp_path) -> None:
    root = folder(tmp_path, ["a"])
    for kind in ("images", "masks"):
        path = os.fsencode(root / kind) + b"/\xff.png"
        with open(path, "wb") as file:
            file.write((root / kind / "a.png").read_bytes())
    dataset = open_dataset(f"folder:{root}", "all", strict=False)
    assert dataset.ids == ["a"]
    assert len([what for _, what in dataset.problems if "no UTF-8" in what]) == 2
