from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd.files import read_json, sha256_file, write_atomic, write_json

# printf abc | sha256sum
SHA_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_file(tmp_path / "file") == SHA_ABC


def test_sha256_of_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match=r"gone: cannot be read"):
        sha256_file(tmp_path / "gone")


def test_write_atomic_makes_folders_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_atomic(path, "one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["b.txt"]


def test_a_failed_write_keeps_the_old_file_and_no_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def fail(source: str, target: str) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_json_round_trip_with_null_for_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": [1, math.nan, -math.inf], "p": Path("b/c"), "s": {"z", "y"}, 3: None})
    assert read_json(tmp_path / "x.json") == {"a": [1, None, None], "p": "b/c", "s": ["y", "z"], "3": None}
    assert (tmp_path / "x.json").read_text().startswith('{\n  "a"')


def test_json_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"a": object()})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", ["", '{"a": 1', "\x01"])
def test_invalid_json_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(SegkdError, match=r"x\.json: not valid JSON"):
        read_json(tmp_path / "x.json")


def test_missing_json_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match=r"x\.json: cannot be read \(No such file"):
        read_json(tmp_path / "x.json")


def test_json_text_is_strict(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", [math.nan])
    assert json.loads((tmp_path / "x.json").read_text(), parse_constant=pytest.fail) == [None]
