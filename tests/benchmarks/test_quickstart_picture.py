"""benchmarks/quickstart_picture.py: four panels a row, in the classes' colours, under their titles."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkd.errors import SegkdError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "quickstart_picture.py"
ROAD, ROAD_COLOUR, SKY_COLOUR = 7, (128, 64, 128), (70, 130, 180)
HEIGHT_PX, WIDTH_PX = 32, 64


def write_quickstart(folder: Path) -> None:
    """One frame: grey, all road in truth and for one student, all sky for the other."""
    maps = {"image": 90, "truth": ROAD, "student": 23, "distilled": ROAD}
    files = {key: "frame.png" if key == "image" else f"{key}_labelIds.png" for key in maps}
    for key, value in maps.items():
        shape = (HEIGHT_PX, WIDTH_PX, 3) if key == "image" else (HEIGHT_PX, WIDTH_PX)
        Image.fromarray(np.full(shape, value, np.uint8)).save(folder / files[key])
    summary = {"pictures": [{"id": "a", **files}], "student": {"miou": 0.25}, "distilled": {"miou": 0.5}}
    (folder / "summary.json").write_text(json.dumps(summary))


def draw(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    out = folder / "picture.png"
    monkeypatch.setattr(sys, "argv", ["quickstart_picture.py", str(folder), "--out", str(out)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return out


def test_panels_in_their_order_and_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_quickstart(tmp_path)
    pixels = np.asarray(Image.open(draw(monkeypatch, tmp_path)).convert("RGB"))
    assert pixels.shape == (16 + HEIGHT_PX, 4 * WIDTH_PX + 3 * 4, 3)
    middles = [tuple(pixels[16 + HEIGHT_PX // 2, column * (WIDTH_PX + 4) + WIDTH_PX // 2]) for column in range(4)]
    assert middles == [(90, 90, 90), ROAD_COLOUR, SKY_COLOUR, ROAD_COLOUR]
    assert (pixels[:16].min(axis=(0, 2)) < 128).any(), "there are titles"


def test_a_quickstart_without_pictures_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "summary.json").write_text('{"pictures": []}')
    with pytest.raises(SegkdError, match="names no pictures"):
        draw(monkeypatch, tmp_path)
