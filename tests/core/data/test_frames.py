"""Parts of a data set: slices and lists."""

from __future__ import annotations

import pytest

from segkd.data import open_dataset
from segkd.data.base import absolute_spec
from segkd.errors import SegkdError
from tests.core.data.files import folder

NAMES = [f"f{index}" for index in range(10)]
SLICES = [(":3", [0, 1, 2]), ("::4", [0, 4, 8]), ("1:8:3", [1, 4, 7]), ("-2:", [8, 9])]


@pytest.mark.parametrize(("frames", "chosen"), SLICES)
def test_slices(tmp_path, frames, chosen) -> None:
    root = folder(tmp_path, NAMES)
    dataset = open_dataset(f"folder:{root}, split=all, frames={frames}")
    assert dataset.ids == [NAMES[index] for index in chosen]
    assert dataset.read(0).id == NAMES[chosen[0]]


def test_lists_of_names_with_and_without_suffix(tmp_path, monkeypatch) -> None:
    root = folder(tmp_path / "data", NAMES)
    (tmp_path / "few.txt").write_text("# chosen by hand\nf7\nf2.png\n\n")
    (root / "inside.txt").write_text("f1\n")
    monkeypatch.chdir(tmp_path)
    spec = f"folder:{root},split=all,frames=@few.txt"
    assert open_dataset(spec).ids == ["f2", "f7"]
    assert open_dataset(f"folder:{root},split=all,frames=@inside.txt").ids == ["f1"]
    everywhere = absolute_spec(spec)
    monkeypatch.chdir("/")
    assert open_dataset(everywhere).ids == ["f2", "f7"]


@pytest.mark.parametrize(
    ("content", "message"),
    [("f1\nnothing\n", "names 'nothing', which"), ("", "names nothing, which"), ("f1\nf1.png\n", "twice")],
)
def test_lists_that_do_not_fit(tmp_path, content, message) -> None:
    root = folder(tmp_path, NAMES)
    (root / "list.txt").write_text(content)
    with pytest.raises(SegkdError, match=message):
        open_dataset(f"folder:{root},split=all,frames=@list.txt")


@pytest.mark.parametrize(("frames", "message"), [("5", "is no range"), ("::0", "step is 0"), ("@gone.txt", "no list")])
def test_mistakes(tmp_path, frames, message) -> None:
    with pytest.raises(SegkdError, match=message):
        open_dataset(f"folder:{folder(tmp_path, NAMES)},split=all,frames={frames}")
