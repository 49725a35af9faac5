"""Damage that decoders pass over in silence."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from segkd.data.formats.whole_file import damage
from tests.core.data.files import photo


def encoded(kind: str, height: int = 64, width: int = 96, **options: object) -> bytes:
    target = io.BytesIO()
    Image.fromarray(photo(height, width)).save(target, kind, **options)
    return target.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_whole_files_and_other_formats(kind: str) -> None:
    data = encoded(kind)
    assert damage(data) is None
    assert damage(data + b"camera data") is None


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_blocks": 3}, {"optimize": True}])
def test_kinds_of_jpeg(options: dict[str, object]) -> None:
    data = encoded("JPEG", comment=b"\xff\xd9 is no end mark in here", **options)
    assert damage(data) is None
    assert "cut short" in str(damage(data[:-2]))


def test_a_blank_jpeg_is_no_damage() -> None:
    target = io.BytesIO()
    Image.fromarray(np.full((256, 256, 3), 255, np.uint8)).save(target, "JPEG", optimize=True)
    assert damage(target.getvalue()) is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_every_cut_is_seen(kind: str) -> None:
    data = encoded(kind, 8, 8)
    start = 8 if kind == "PNG" else 2
    for length in range(start, len(data)):
        assert damage(data[:length]) == f"cut short after {length} bytes; copy it again"


def test_every_changed_byte_of_a_png_is_seen() -> None:
    data = encoded("PNG", 8, 8)
    for place in range(8, len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x01
        assert damage(bytes(changed)) is not None, place


def test_a_wrong_checksum_of_what_decoders_skip_is_no_damage() -> None:
    data = encoded("PNG", 8, 8)
    note = b"\0\0\0\x02tEXthi\0\0\0\0"
    assert damage(data[:33] + note + data[33:]) is None
    assert "wrong checksum of the chunk at byte 33" in str(
        damage(data[:33] + note.replace(b"tEXt", b"TEXt") + data[33:])
    )


def test_a_mark_inside_the_compressed_data() -> None:
    data = encoded("JPEG")
    middle = len(data) // 2
    assert "damaged JPEG file (mark 0x33" in str(damage(data[:middle] + b"\xff\x33" * 8 + data[middle + 16 :]))


def test_a_lost_block_between_restart_marks() -> None:
    data = encoded("JPEG", restart_marker_blocks=3)
    second, third = data.index(b"\xff\xd2"), data.index(b"\xff\xd3")
    assert "restart marks out of order" in str(damage(data[:second] + data[third:]))
