"""The picture of README: frames of a quickstart, their truth, and the labels of student and distilled student.

segkd quickstart --out quickstart
python benchmarks/quickstart_picture.py quickstart --rows 2 --out docs/quickstart.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from segkd.data.formats.decode import read_label_values, read_rgb
from segkd.data.readers.cityscapes import LABEL_SPACE, label_id_map
from segkd.errors import SegkdError
from segkd.files import read_json
from segkd.report.pictures import colour_labels

GAP_PX, TITLE_PX = 4, 16
COLOURS = 256


def panel(path: Path) -> NDArray[np.uint8]:
    """A frame as it is, or label ids in the classes' colours: RGB (H, W, 3)."""
    if not path.name.endswith("_labelIds.png"):
        return read_rgb(path)
    labels = label_id_map().apply(read_label_values(path), path, "Cityscapes label ids")
    return colour_labels(labels, list(LABEL_SPACE.palette))


def picture(quickstart: Path, rows: int) -> Image.Image:
    """Rows of four panels under their titles.

    Args:
        quickstart: the folder of `segkd quickstart`.
        rows: how many frames, from the first.
    """
    summary = read_json(quickstart / "summary.json")
    frames = summary["pictures"][:rows]
    if not frames:
        raise SegkdError(f"{quickstart}: summary.json names no pictures; run `segkd quickstart --out {quickstart}`")
    alone, distilled = (100 * summary[run]["miou"] for run in ("student", "distilled"))
    titles = {"image": "frame", "truth": "truth"}
    titles |= {"student": f"student alone: mIoU {alone:.1f}", "distilled": f"distilled: mIoU {distilled:.1f}"}

    grid = [[panel(quickstart / frame[key]) for key in titles] for frame in frames]
    height_px, width_px = grid[0][0].shape[:2]
    sheet = Image.new(
        "RGB",
        (len(titles) * (width_px + GAP_PX) - GAP_PX, TITLE_PX + len(grid) * (height_px + GAP_PX) - GAP_PX),
        "white",
    )
    for column, title in enumerate(titles.values()):
        left = column * (width_px + GAP_PX)
        ImageDraw.Draw(sheet).text((left, 1), title, fill="black")
        for row, panels in enumerate(grid):
            sheet.paste(Image.fromarray(panels[column]), (left, TITLE_PX + row * (height_px + GAP_PX)))
    return sheet


def main() -> None:
    """Write the picture with a palette: a quarter of the bytes, and no colour is visibly off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quickstart", type=Path)
    parser.add_argument("--rows", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    sheet = picture(options.quickstart, options.rows)
    sheet.quantize(COLOURS, dither=Image.Dither.NONE).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
