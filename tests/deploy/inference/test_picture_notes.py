from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkd_deploy.inference.picture_notes import PictureNotes

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize(
    ("mode", "name", "words"),
    [
        ("RGB", "a.png", None),
        ("RGB", "a.jpg", None),
        ("P", "a.png", None),
        ("L", "a.bmp", None),
        ("I;16", "a.png", "1 pictures have 16 bits per channel"),
        ("RGBA", "a.png", "1 pictures have a transparency channel"),
        ("LA", "a.png", "1 pictures have a transparency channel"),
        ("CMYK", "a.jpg", "1 pictures are of inks"),
    ],
)
def test_kinds_of_pictures(tmp_path: Path, mode: str, name: str, words: str | None) -> None:
    picture = Image.fromarray(GREY.astype(np.uint16)) if mode == "I;16" else Image.fromarray(GREY).convert(mode)
    picture.save(tmp_path / name)
    notes = PictureNotes()
    notes.look(tmp_path / name)
    assert len(notes.lines()) == (words is not None)
    assert words is None or (notes.lines()[0].startswith(words) and notes.lines()[0].endswith(f"{name})"))


def test_each_kind_is_said_once(tmp_path: Path) -> None:
    notes = PictureNotes()
    for index in range(40):
        path = tmp_path / f"{index}.png"
        Image.fromarray(GREY).convert("RGBA").save(path)
        notes.look(path)
    (line,) = notes.lines()
    assert line.startswith("40 pictures have a transparency channel") and line.endswith("0.png)")


def test_what_is_no_picture_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    notes = PictureNotes()
    notes.look(tmp_path / "a.png")
    assert notes.lines() == []
