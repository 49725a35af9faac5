"""classes.yaml: every form it may have, and every mistake by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkd.data.layout.classes_file import read_classes
from segkd.errors import SegkdError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "classes.yaml"
    path.write_text(text)
    return path


def test_a_list_numbers_the_classes(tmp_path) -> None:
    labels, values, colours, _ = read_classes(write(tmp_path, "names: [road, off, car]"))
    assert labels.names == ("road", "off", "car")
    assert labels.palette == ((128, 0, 0), (0, 128, 0), (128, 128, 0))  # PASCAL VOC's colours 1, 2, 3
    assert colours is None
    found = values.apply(np.array([[0, 1, 2, 255]], np.uint8), Path("m.png"), "")
    np.testing.assert_array_equal(found, [[0, 1, 2, 255]])


def test_a_mapping_gives_ids_and_colours(tmp_path) -> None:
    text = """
names:
  road: {id: 7, color: [128, 64, 128]}
  person: {id: 24, color: "#DC143c"}
ignore: [0, 1, [0, 0, 0]]
"""
    labels, values, colours, _ = read_classes(write(tmp_path, text))
    assert labels.names == ("road", "person")
    assert labels.palette == ((128, 64, 128), (220, 20, 60))
    found = values.apply(np.array([[24, 7, 0, 1, 255]], np.uint8), Path("m.png"), "")
    np.testing.assert_array_equal(found, [[1, 0, 255, 255, 255]])
    assert colours is not None
    pixels = np.array([[[220, 20, 60], [128, 64, 128], [0, 0, 0]]], np.uint8)
    np.testing.assert_array_equal(colours.apply(pixels, Path("m.png"), ""), [[1, 0, 255]])


def test_ids_default_to_positions_and_one_missing_colour_rules_colour_masks_out(tmp_path) -> None:
    labels, values, colours, _ = read_classes(write(tmp_path, "names:\n  road: {color: [1, 2, 3]}\n  car:\n"))
    assert labels.palette == ((1, 2, 3), (0, 128, 0))
    assert colours is None
    found = values.apply(np.array([[1, 0]], np.uint8), Path("m.png"), "")
    np.testing.assert_array_equal(found, [[1, 0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the key names"),
        ("[road]", "expected the key names"),
        ("names: road", "names is a list or mapping of 1 to 255"),
        ("names: []", "names is a list or mapping of 1 to 255"),
        ("names: [road, 7]", "class name 7 is no text; put it in quotes"),
        ("names: [road, [car]]", r"class name \['car'\] is no text"),
        ("names: [road, car, road]", "the name 'road' is declared twice"),
        ("names:\n  road: {id: 1}\n  road: {id: 2}", "written twice"),
        ("names:\n  road: {id: 1}\n  car: {}", "the number 1 is declared twice"),
        ("names: [road]\nignore: [0]", "the number 0 is declared twice"),
        ("names: {a: {color: [1, 2, 3]}, b: {color: '#010203'}}", r"the colour \(1, 2, 3\) is declared twice"),
        ("names: {road: {id: 255}}\nignore: [255]", "the number 255 is declared twice"),
        ("names: {road: {id: 1.5}}", "ids are 0 to 255"),
        ("names: {road: {id: true}}", "ids are 0 to 255"),
        ("names: {road: 7}", "class 'road' has 7; expected a mapping of id, color"),
        ("names: {road: {colour: [1, 2, 3]}}", "unknown key of class 'road' 'colour'; did you mean 'color'"),
        ("names: {road: {color: [1, 2, 256]}}", "is no colour"),
        ("names: {road: {color: red}}", "'red' is no colour; write"),
        ("names: [road]\nignore: 0", "ignore is a list of mask values"),
        ("names: [road]\nignore: [300]", "ignore holds 300; mask values are 0 to 255"),
        ("names: [road]\nclasses: 3", "unknown key 'classes'"),
        ("names: [road", "not valid YAML"),
    ],
)
def test_mistakes_are_named_with_the_file(tmp_path, text, message) -> None:
    with pytest.raises(SegkdError, match=f"classes.yaml.*{message}"):
        read_classes(write(tmp_path, text))


def test_a_missing_file_says_what_to_write(tmp_path) -> None:
    with pytest.raises(SegkdError, match=r"no .*classes.yaml; write the class names there"):
        read_classes(tmp_path / "classes.yaml")


def test_text_of_another_encoding_is_an_error(tmp_path) -> None:
    (tmp_path / "classes.yaml").write_bytes("names: [straße]".encode("latin-1"))
    with pytest.raises(SegkdError, match=r"classes.yaml: cannot be read as text"):
        read_classes(tmp_path / "classes.yaml")


def test_255_is_ignored_unless_it_is_a_class(tmp_path) -> None:
    (tmp_path / "classes.yaml").write_text("names: {background: {id: 0}, object: {id: 255}}")
    classes = read_classes(tmp_path / "classes.yaml")
    found = classes.values.apply(np.array([[0, 255]], np.uint8), Path("m.png"), "")
    np.testing.assert_array_equal(found, [[0, 1]])
    assert classes.labels.ignore == 255
