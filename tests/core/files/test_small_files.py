from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd.files import sha256_file
from segkd.files.small_files import listed, one_line, parse_json, read_bytes, read_json, read_object, read_text
from segkd.files.yaml_lines import read_yaml_file

READERS = (read_bytes, read_text, read_json, sha256_file, read_yaml_file)


def _special(folder: Path, kind: str) -> Path:
    path = folder / kind
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    elif kind == "a folder":
        path.mkdir()
    elif kind == "an endless link":
        path.symlink_to(path)
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    return path


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a folder", "an endless link", "a socket"])
def test_only_regular_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, read: object) -> None:
    monkeypatch.chdir(tmp_path)
    path = _special(tmp_path, kind)
    assert callable(read)
    with pytest.raises(SegkdError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    if kind in ("a pipe", "a device", "a folder"):
        assert f"found {kind}" in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "gone"])
def test_a_path_that_cannot_be_is_one_short_line(name: str) -> None:
    for read in READERS:
        with pytest.raises(SegkdError, match="cannot be read") as caught:
            read(Path(name))
        assert len(str(caught.value)) < 400
        assert "\0" not in str(caught.value)


def test_a_limit_in_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a" * 2049)
    with pytest.raises(SegkdError, match=r"file: has more than 2 KiB"):
        read_text(tmp_path / "file", 2048)
    assert read_text(tmp_path / "file", 2049) == "a" * 2049


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ok\nbad \xff\n", r"file: cannot be read as text in UTF-8 \(line 2"),
        (b"ok\nok\na\0b", r"file: cannot be read as text \(line 3 holds a NUL"),
        ("utf-16".encode("utf-16"), r"file: cannot be read as text in UTF-8 \(line 1"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", r"Git LFS pointer.*`git lfs pull`"),
    ],
)
def test_only_text_is_text(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(SegkdError, match=message):
        read_text(tmp_path / "file")


def test_a_byte_order_mark_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbf{}")
    assert read_json(tmp_path / "file") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', r"x: not valid JSON \(the key 'a' is written twice\)"),
        ("[" * 100_000, r"x: is nested more than 64 levels"),
        ("[" * 70 + "]" * 70, r"x: is nested more than 64 levels"),
        ('{"a":' * 70 + "1" + "}" * 70, r"x: is nested more than 64 levels"),
        ("9" * 5000, r"a number of 5000 digits"),
        ("[NaN]", r"NaN is no number"),
        ("[-Infinity]", r"-Infinity is no number"),
        ("[1e999]", r"1e999 is out of range"),
        ("", r"not valid JSON"),
        ("{", r"not valid JSON"),
    ],
)
def test_json_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(SegkdError, match=message) as caught:
        parse_json(text, "x")
    assert len(str(caught.value)) < 300


def test_json_that_is_read() -> None:
    assert parse_json("[" * 64 + "]" * 64, "x")
    assert parse_json('{"a": [1, -2.5e3, null, "\\u00e4"]}', "x") == {"a": [1, -2500.0, None, "ä"]}


def test_an_object_is_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("[1]")
    with pytest.raises(SegkdError, match=r"file: expected an object, got list"):
        read_object(tmp_path / "file")


def test_words_are_short_and_of_one_line() -> None:
    assert one_line("plain ä") == "plain ä"
    assert one_line("a\nb\x1b[31m\x7f") == "a\\nb\\x1b[31m\\x7f"
    assert len(one_line("x" * 10**6)) <= 200
    assert len(one_line("\n" * 10**6)) <= 200
    assert listed(["a", "b"]) == "a; b"
    assert listed(range(9)) == "0; 1; 2; 3; 4; and 4 more"
