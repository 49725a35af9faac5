"""PASCAL in Detail's JSON; the reader's own tests are in test_pascal_context."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segkd.data.base import DataFileError
from segkd.data.formats.context_json import Annotated, draw, read_annotations
from segkd.errors import SegkdError


def written(path: Path, **document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


def image(number: int, phase: str) -> dict[str, object]:
    return {"image_id": number, "file_name": f"2008_{number:06d}.jpg", "phase": phase, "height": 2, "width": 3}


def test_annotations_belong_to_images_of_the_split_in_their_order(tmp_path) -> None:
    segmentation = {"size": [2, 3], "counts": "06"}
    parts = [{"image_id": n, "category_id": c, "segmentation": segmentation} for n, c in ((1, 9), (2, 8), (1, 7))]
    path = written(
        tmp_path / "a.json", images=[image(1, "val"), image(2, "train"), image(3, "val")], annos_segmentation=parts
    )
    assert read_annotations(path, "val") == {
        "2008_000001": (2, 3, [(9, "06"), (7, "06")]),
        "2008_000003": (2, 3, []),
    }
    assert list(read_annotations(path, "train")) == ["2008_000002"]


def test_later_annotations_win() -> None:
    numbers = draw(Annotated(2, 3, [(459, "06"), (300, [2, 1, 3])]), Path("a.json"), "x")
    assert numbers.dtype == np.uint16
    np.testing.assert_array_equal(numbers, [[459, 300, 459], [459, 459, 459]])


@pytest.mark.parametrize("counts", ["05", [7], None, [[1, 2]]])
def test_runs_that_do_not_fit_name_the_image(counts) -> None:
    with pytest.raises(DataFileError, match=r"a\.json: image x: category 4: "):
        draw(Annotated(2, 3, [(4, counts)]), Path("a.json"), "x")


@pytest.mark.parametrize("document", [{}, {"images": [{}]}, {"images": 3}, {"images": [], "annos_segmentation": [1]}])
def test_other_documents(tmp_path, document) -> None:
    with pytest.raises(SegkdError, match=r"a\.json: not trainval_merged\.json of PASCAL in Detail"):
        read_annotations(written(tmp_path / "a.json", **document), "val")
