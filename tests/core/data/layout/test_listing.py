"""Finding files and reading the lists of splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkd.data.layout.listing import (
    find_root,
    has_files,
    named_files,
    pair_listed,
    read_list,
    require_choice,
    require_folders,
)
from segkd.errors import SegkdError


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_files_by_ending_in_any_case(tmp_path) -> None:
    touch(tmp_path, "b.PNG", "a.png", "c_L.png", "d.jpg", "._a.png", ".hidden.png")
    (tmp_path / "sub").mkdir()
    touch(tmp_path / "sub", "e.png")
    assert named_files(tmp_path, "_L.png", ".png") == [
        ("a", tmp_path / "a.png"),
        ("b", tmp_path / "b.PNG"),
        ("c", tmp_path / "c_L.png"),
    ]
    assert has_files(tmp_path, ".jpg")
    assert not has_files(tmp_path, ".mat")
    assert not has_files(tmp_path / "gone", ".jpg")


@pytest.mark.parametrize(
    "content",
    [
        b"a_1\nb_2\n",
        b"a_1\r\nb_2\r\n",
        b"\xef\xbb\xbfa_1\n\n  b_2  \n\n",
        b"a_1  1\nb_2 -1\n",
        b"/SegNet/CamVid/train/a_1.png /SegNet/CamVid/trainannot/a_1.png\n/x/b_2.png /y/b_2.png",
        b"a_1.JPG\nb_2.mat\n",
        b"images\\a_1.jpg\tmasks\\a_1.png\nimages\\b_2.jpg\tmasks\\b_2.png\n",
    ],
)
def test_lists_of_every_form(tmp_path, content) -> None:
    (tmp_path / "train.txt").write_bytes(content)
    assert read_list(tmp_path / "train.txt") == ["a_1", "b_2"]


def test_dots_in_names_stay(tmp_path) -> None:
    (tmp_path / "val.txt").write_text("drive.01\ndrive.02.png\n")
    assert read_list(tmp_path / "val.txt") == ["drive.01", "drive.02"]


def test_lists_that_cannot_be_read(tmp_path) -> None:
    with pytest.raises(SegkdError, match=r"train\.txt: cannot be read \(No such file .*list of this split"):
        read_list(tmp_path / "train.txt")
    (tmp_path / "train.txt").write_bytes(b"\n \n")
    with pytest.raises(SegkdError, match=r"train\.txt: an empty list"):
        read_list(tmp_path / "train.txt")
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(SegkdError, match=r"train\.txt: cannot be read as text"):
        read_list(tmp_path / "train.txt")


def test_listed_names_need_both_files(tmp_path) -> None:
    images = {name: tmp_path / f"{name}.jpg" for name in "abcx"}
    masks = {name: tmp_path / f"{name}.png" for name in "acd"}
    source = tmp_path / "train.txt"
    pairs = pair_listed(["c", "a", "b", "d", "a"], source, images, masks, image_form="i/{}.jpg", mask_form="m/{}.png")
    assert pairs.ids == ["a", "c"]
    assert pairs.images == [images["a"], images["c"]]
    assert pairs.masks == [masks["a"], masks["c"]]
    assert pairs.problems == [
        (source, "lists a twice; remove one line"),
        (source, "lists b, but there is no m/b.png"),
        (source, "lists d, but there is no i/d.jpg"),
    ]


def test_folders_with_braces_in_their_name(tmp_path) -> None:
    root = touch(tmp_path / "{0}")
    pairs = pair_listed(["a"], root / "l.txt", {}, {}, image_form=f"{root}/{{}}.jpg", mask_form=f"{root}/{{}}.png")
    assert [problem.what for problem in pairs.problems] == [
        f"lists a, but there is no {root}/a.jpg",
        f"lists a, but there is no {root}/a.png",
    ]


def test_roots_in_the_folders_of_their_archives(tmp_path) -> None:
    with pytest.raises(SegkdError, match=r"no folder .*/images \(nor in .*/A, .*/A/B\); A holds images"):
        find_root(tmp_path, ["A", "A/B"], "images", "A holds images")
    (tmp_path / "A/B/images").mkdir(parents=True)
    assert find_root(tmp_path, ["A", "A/B"], "images", "") == tmp_path / "A/B"
    (tmp_path / "images").mkdir()
    assert find_root(tmp_path, ["A", "A/B"], "images", "") == tmp_path


def test_required_folders_and_choices(tmp_path) -> None:
    require_folders(tmp_path, expected="")
    with pytest.raises(SegkdError, match=r"no folder .*gone; it has gone and come"):
        require_folders(tmp_path, tmp_path / "gone", expected="it has gone and come")
    assert require_choice("CamVid", "classes", "11", ["11", "12"]) == "11"
    with pytest.raises(SegkdError, match="unknown value of the CamVid option classes '1'"):
        require_choice("CamVid", "classes", "1", ["11", "12"])
