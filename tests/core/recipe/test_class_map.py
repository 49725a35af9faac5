from __future__ import annotations

from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd.recipe.class_map import parse_class_map


def test_pairs_on_the_command_line() -> None:
    assert parse_class_map("void=ignore") == {"void": None}
    assert parse_class_map("own car = null, light truck=car,0=road") == {
        "own car": None,
        "light truck": "car",
        "0": "road",
    }


@pytest.mark.parametrize("name", ["map.yaml", "map.json", "a=b"])
def test_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('{"van, large": "car", "void": null, "sky": "ignore", "3": "road"}')
    assert parse_class_map(str(path)) == {"van, large": "car", "void": None, "sky": None, "3": "road"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nowhere.yaml", r"--class-map nowhere\.yaml: no such file, and no map; write NAME=NAME"),
        ("void=", r"'void=' is no NAME=NAME; a name with a comma needs a FILE"),
        ("void=ignore,=car", r"'=car' is no NAME=NAME"),
        ("void=ignore,van", r"'van' is no NAME=NAME"),
        ("van=car,van=road", "'van' is mapped twice"),
    ],
)
def test_another_form_is_refused(text: str, said: str) -> None:
    with pytest.raises(SegkdError, match=said):
        parse_class_map(text)


@pytest.mark.parametrize("content", ["", "[a, b]", "road: 3\n", "road: [sky]\n"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "map.yaml").write_text(content)
    with pytest.raises(SegkdError, match=r"map\.yaml: expected lines of NAME: NAME, or NAME: null"):
        parse_class_map(str(tmp_path / "map.yaml"))


def test_a_name_that_is_written_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("void: null\nvoid: car\n")
    with pytest.raises(SegkdError, match=r"map\.yaml:2: .*void"):
        parse_class_map(str(tmp_path / "map.yaml"))
