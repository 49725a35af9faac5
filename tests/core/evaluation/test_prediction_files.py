from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segkd.data.readers.cityscapes import LABEL_SPACE, label_id_map
from segkd.errors import SegkdError
from segkd.evaluation.prediction_files import PredictionWriter, label_values
from tests.core.evaluation.blocks import Pictures


def test_indices_and_colours(tmp_path: Path) -> None:
    prediction = np.array([[0, 1], [2, 0]], np.uint8)
    PredictionWriter(tmp_path / "p", Pictures(), "folder").write("city/frame_1", prediction)
    path = tmp_path / "p" / "city" / "frame_1.png"
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), prediction)
    assert Image.open(path).mode == "L"
    colour = cv2.imread(str(tmp_path / "p" / "color" / "city" / "color_frame_1.png"))[..., ::-1]
    assert colour[0, 0].tolist() == [128, 64, 10] and colour[0, 1].tolist() == [70, 130, 180]
    assert len([path for path in (tmp_path / "p").rglob("*") if path.is_file()]) == 2


def test_cityscapes_gets_label_ids_and_one_file_per_name(tmp_path: Path) -> None:
    dataset = Pictures()
    dataset.labels = LABEL_SPACE
    prediction = np.arange(19, dtype=np.uint8)[None]
    PredictionWriter(tmp_path, dataset, "cityscapes").write("ulm_000001_000019", prediction)
    # The script takes every file of any folder whose name fits.
    found = [path for path in tmp_path.rglob("*") if fnmatch(path.name, "ulm_000001_000019*.png")]
    assert [path.name for path in found] == ["ulm_000001_000019_pred_labelIds.png"]
    ids = np.array(Image.open(found[0]))
    assert ids[0, :4].tolist() == [7, 8, 11, 12] and ids[0, -1] == 33
    np.testing.assert_array_equal(label_id_map().apply(ids, found[0], ""), prediction)


def test_other_sets_get_the_values_of_their_files() -> None:
    dataset = Pictures()
    assert label_values(dataset, "folder") == (0, 1, 2)
    dataset.file_values = (1, 2, 3)
    assert label_values(dataset, "ade20k") == (1, 2, 3)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SegkdError, match="cannot be written"):
        PredictionWriter(tmp_path / "file", Pictures(), "folder").write("x", np.zeros((2, 2), np.uint8))
