from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from segkd.errors import SegkdError
from segkd.report.pictures import IGNORED_COLOUR, MAX_WIDTH_PX, classes_present, colour_labels, data_uri

PALETTE = [(10, 20, 30), (200, 100, 0)]


def decoded(uri: str) -> tuple[str, np.ndarray]:
    kind, data = uri.split(";base64,")
    return kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def test_labels_get_their_colours() -> None:
    rgb = colour_labels(np.array([[0, 1, 255, 9]], np.uint8), PALETTE)
    assert rgb.tolist() == [[[10, 20, 30], [200, 100, 0], list(IGNORED_COLOUR), [255, 0, 255]]]


def test_label_maps_are_lossless() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (20, 30)).astype(np.uint8)
    kind, pixels = decoded(data_uri(labels, PALETTE))
    assert kind == "data:image/png"
    assert (pixels == colour_labels(labels, PALETTE)).all()


def test_photographs_keep_size_and_channel_order() -> None:
    image = np.full((20, 30, 3), (200, 100, 20), np.uint8)
    kind, pixels = decoded(data_uri(image, []))
    assert kind == "data:image/jpeg"
    assert pixels.shape == (20, 30, 3)
    assert np.abs(pixels.astype(int) - (200, 100, 20)).max() <= 4


def test_wide_pictures_shrink_and_labels_stay_labels() -> None:
    labels = np.zeros((100, 2 * MAX_WIDTH_PX), np.uint8)
    labels[:, MAX_WIDTH_PX:] = 1
    _, pixels = decoded(data_uri(labels, PALETTE))
    assert pixels.shape == (50, MAX_WIDTH_PX, 3)
    assert {tuple(colour) for colour in pixels.reshape(-1, 3)} == set(PALETTE)


@pytest.mark.parametrize("shape", [(4,), (4, 4, 1), (4, 4, 4)])
def test_what_is_no_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(SegkdError, match="a picture is uint8"):
        data_uri(np.zeros(shape, np.uint8), PALETTE)
    with pytest.raises(SegkdError, match="got float64"):
        data_uri(np.zeros((4, 4)), PALETTE)  # type: ignore[arg-type]


def test_classes_present() -> None:
    maps = [np.array([[3, 255]], np.uint8), np.array([[0, 3, 3]], np.uint8)]
    assert classes_present(maps, 19) == [0, 3]
    assert classes_present([], 19) == []
