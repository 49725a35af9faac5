from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from segkd.data.base import LabelSpace
from segkd_distill.predictions import PredictionWriter

LABELS = LabelSpace(("road", "sky"), ((128, 64, 10), (70, 130, 180)))


def test_indices_and_colours(tmp_path: Path) -> None:
    prediction = np.array([[0, 1], [1, 0]], np.uint8)
    PredictionWriter(tmp_path / "p", LABELS)("city/frame_1", prediction)
    index = cv2.imread(str(tmp_path / "p" / "city" / "frame_1.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(index, prediction)
    colour = cv2.imread(str(tmp_path / "p" / "color" / "city" / "frame_1.png"))[..., ::-1]
    assert colour[0, 0].tolist() == [128, 64, 10] and colour[0, 1].tolist() == [70, 130, 180]
    assert len([path for path in (tmp_path / "p").rglob("*") if path.is_file()]) == 2
