from __future__ import annotations

import struct
from pathlib import Path

import pytest

from segkd_deploy.inference.video_header import records_its_frames
from tests.deploy.artifacts import make_frames
from tests.deploy.videos import make_uneven_mkv, make_video


def box(kind: bytes, content: bytes = b"", *, large: bool = False) -> bytes:
    if large:
        return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content
    return struct.pack(">I4s", 8 + len(content), kind) + content


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("a.mov", "mp4v")])
def test_containers_with_a_table(tmp_path: Path, name: str, codec: str) -> None:
    assert records_its_frames(make_video(tmp_path / name, make_frames(3), codec=codec))


def test_matroska_lets_one_guess_whatever_its_suffix_is(tmp_path: Path) -> None:
    assert not records_its_frames(make_uneven_mkv(tmp_path / "a.mp4", [0, 40], 25))
    assert not records_its_frames(make_video(tmp_path / "a.mkv", make_frames(3)))


@pytest.mark.parametrize(
    ("content", "recorded"),
    [
        (box(b"ftyp", b"isom") + box(b"moov", b"x" * 8) + box(b"mdat", b"y" * 9), True),
        (box(b"ftyp", b"isom") + box(b"moov") + box(b"moof") + box(b"mdat"), False),
        (box(b"ftyp", b"isom") + box(b"mdat", b"y" * 9, large=True) + box(b"moof"), False),
        (box(b"ftyp", b"isom") + struct.pack(">I4s", 0, b"mdat") + b"rest", True),
        (b"", False),
        (b"RIFF\x00\x00\x00\x00WAVE", False),
    ],
)
def test_boxes(tmp_path: Path, content: bytes, recorded: bool) -> None:
    (tmp_path / "v").write_bytes(content)
    assert records_its_frames(tmp_path / "v") is recorded


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    assert not records_its_frames(tmp_path / "v")
