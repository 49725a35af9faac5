from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_distill.models.catalogue import download as module
from segkd_distill.models.catalogue.download import download
from tests.distill.models.file_server import serve

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "weights" / "w.pth"


@pytest.mark.parametrize("says_length", [True, False])
def test_a_file_comes_once(path: Path, says_length: bool) -> None:
    seen: list[tuple[int, int | None]] = []
    with serve(CONTENT, says_length=says_length) as server:
        assert download(server.url, path, sha256=SHA256[:8], progress=lambda have, all_: seen.append((have, all_)))
        assert path.read_bytes() == CONTENT
        assert seen[-1] == (len(CONTENT), len(CONTENT) if says_length else None) and len(seen) > 1
        assert not download(server.url, path, sha256=SHA256)
    assert server.asked == [None]
    assert list(path.parent.iterdir()) == [path]


def test_a_cut_connection_is_continued(path: Path) -> None:
    with serve(CONTENT, cut=300_000) as server:
        with pytest.raises(SegkdError, match=r"ended after 300000 of 1024000 bytes; run the same command again"):
            download(server.url, path, sha256=SHA256[:8])
        assert not path.exists() and part(path).read_bytes() == CONTENT[:300_000]
        assert download(server.url, path, sha256=SHA256[:8])
    assert server.asked == [None, "bytes=300000-"]
    assert path.read_bytes() == CONTENT and not part(path).exists()


def test_a_server_that_cannot_continue_sends_all_again(path: Path) -> None:
    path.parent.mkdir(parents=True)
    part(path).write_bytes(b"something else entirely")
    with serve(CONTENT, ranges=False) as server:
        assert download(server.url, path, sha256=SHA256[:8])
    assert server.asked == ["bytes=23-"]
    assert path.read_bytes() == CONTENT


def test_a_part_that_is_whole_needs_nothing_more(path: Path) -> None:
    path.parent.mkdir(parents=True)
    part(path).write_bytes(CONTENT)
    with serve(CONTENT) as server:
        assert download(server.url, path, sha256=SHA256[:8])
    assert len(server.asked) == 1 and path.read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_of_another_one(path: Path) -> None:
    path.parent.mkdir(parents=True)
    part(path).write_bytes(CONTENT + b"more")
    with serve(CONTENT) as server:
        assert download(server.url, path, sha256=SHA256[:8])
    assert server.asked == [f"bytes={len(CONTENT) + 4}-", None] and path.read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_nothing_valid_is_lost(path: Path) -> None:
    with serve(CONTENT) as server:
        download(server.url, path, sha256=SHA256[:8])
    with serve(b"changed on the server") as server:
        with pytest.raises(
            SegkdError, match=r"expected SHA-256 0123abcd\.\.\., got [0-9a-f]{8}\.\.\.; the file was not"
        ):
            download(server.url, path, sha256="0123abcd")
        # The valid file of the other checksum is still there; what came is not.
        assert path.read_bytes() == CONTENT and not part(path).exists()
        # A damaged file is replaced only by a right one.
        path.write_bytes(b"damaged")
        with pytest.raises(SegkdError, match="expected SHA-256"):
            download(server.url, path, sha256=SHA256[:8])
        assert path.read_bytes() == b"damaged"
    with serve(CONTENT) as server:
        assert download(server.url, path, sha256=SHA256[:8])
    assert path.read_bytes() == CONTENT


def test_a_continued_part_of_another_file_is_found_out(path: Path) -> None:
    path.parent.mkdir(parents=True)
    part(path).write_bytes(b"x" * 1000)
    with serve(CONTENT) as server:
        with pytest.raises(SegkdError, match="expected SHA-256"):
            download(server.url, path, sha256=SHA256[:8])
        assert download(server.url, path, sha256=SHA256[:8])
    assert path.read_bytes() == CONTENT


def test_the_servers_answer_is_said(path: Path) -> None:
    with (
        serve(CONTENT, status=404) as server,
        pytest.raises(SegkdError, match="the server answers 404 Not Found"),
    ):
        download(server.url, path, sha256=SHA256[:8])
    with pytest.raises(SegkdError, match="cannot be reached"):
        download(server.url, path, sha256=SHA256[:8])
    assert not path.exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with serve(CONTENT) as server, pytest.raises(SegkdError, match=r"cannot be written .*XDG_CACHE_HOME"):
        download(server.url, tmp_path / "file" / "w.pth", sha256=SHA256[:8])


def test_a_full_disk_keeps_what_came(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    with serve(CONTENT) as server:
        monkeypatch.setattr(module.os, "fsync", full)
        with pytest.raises(SegkdError, match=r"cannot be written \(No space left on device\); free space"):
            download(server.url, path, sha256=SHA256[:8])
        monkeypatch.undo()
        assert part(path).is_file() and not path.exists()
        assert download(server.url, path, sha256=SHA256[:8])
    assert path.read_bytes() == CONTENT
