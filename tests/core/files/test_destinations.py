from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from segkd.errors import SegkdError
from segkd.files.destinations import require_writable_file, require_writable_folder


def test_places_that_can_be_written_are_left_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("{}")
    require_writable_folder(tmp_path)
    require_writable_folder(tmp_path / "new" / "below")
    require_writable_file(tmp_path / "old.json")
    require_writable_file(tmp_path / "new" / "file.json")
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "{}"


def test_places_that_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone" / "deep")
    for path, message in (
        ("file", "file: expected a folder, found a file; name another with --out"),
        ("file/below", "is a file and no folder"),
        ("nowhere", "a link that leads nowhere"),
        ("nowhere/below", "nowhere is a link that leads nowhere"),
        ("x" * 300, r"cannot be written \(File name too long\)"),
        ("a\0b", "cannot be written"),
    ):
        with pytest.raises(SegkdError, match=message) as caught:
            require_writable_folder(tmp_path / path)
        assert "\n" not in str(caught.value)
    for path, message in (("", "expected a file, found a folder"), ("nowhere", "leads nowhere"), ("file/x", "no fold")):
        with pytest.raises(SegkdError, match=message):
            require_writable_file(tmp_path / path)


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_what_the_system_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(descriptor: int) -> Any:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(SegkdError, match=rf"cannot be written \({os.strerror(code)}\); name another place with --to"):
        require_writable_folder(tmp_path, "--to")
    assert list(tmp_path.iterdir()) == []
