from __future__ import annotations

import cv2
import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd_deploy.camera import YUV, to_camera

# 8-bit codes of the primaries: BT.601-7 table 1 and BT.709-6 item 3.5, rounded.
LIMITED = {
    "bt601": {(255, 255, 255): (235, 128, 128), (0, 0, 0): (16, 128, 128), (255, 0, 0): (81, 90, 240)},
    "bt709": {(255, 255, 255): (235, 128, 128), (0, 0, 0): (16, 128, 128), (255, 0, 0): (63, 102, 240)},
}


@pytest.mark.parametrize("coding", LIMITED)
def test_primaries(coding: str) -> None:
    for rgb, (y, u, v) in LIMITED[coding].items():
        frame = to_camera(np.full((2, 4, 3), rgb, np.uint8), "NV12", coding)
        assert frame.tolist() == [[y] * 4, [y] * 4, [u, v] * 2]


@pytest.mark.parametrize("coding", YUV)
def test_back_and_forth(coding: str) -> None:
    matrix, offset = YUV[coding].to_yuv()
    back, constant = YUV[coding].to_rgb()
    rgb = np.array([[255, 0, 0], [12, 200, 77], [0, 0, 0], [255, 255, 255]], np.float64)
    np.testing.assert_allclose((rgb @ matrix.T + offset) @ back.T + constant, rgb, atol=1e-9)
    codes = rgb @ matrix.T + offset
    lowest, highest = (0, 255.5) if coding.endswith("-full") else (16, 240)
    assert codes.min() >= lowest - 1e-9 and codes.max() <= highest


def test_luma_equals_opencv() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    frame = to_camera(image, "NV12", "bt601")
    theirs = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
    assert frame.shape == (12, 10) and frame.dtype == np.uint8
    assert np.abs(frame[:8].astype(int) - theirs[:8]).max() <= 1


def test_chroma_is_the_mean_of_four_pixels_and_interleaved() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = 255, 0, 0
    u, v = to_camera(image, "NV12", "bt601")[2]
    assert (u, v) == (119, 156)  # 128 + (90.2 - 128) / 4 and 128 + (240 - 128) / 4, rounded


def test_bgr_is_reversed_and_rgb_untouched() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert to_camera(image, "RGB") is image
    bgr = to_camera(image, "BGR")
    assert bgr[0, 1].tolist() == [5, 4, 3] and bgr.flags.c_contiguous


@pytest.mark.parametrize(
    ("shape", "color", "coding", "message"),
    [
        ((3, 4, 3), "NV12", "bt601", "even sides, this one is 3x4"),
        ((2, 2, 3), "NV12", "bt106", "unknown coding of NV12 'bt106'"),
        ((2, 2, 3), "NV21", None, "unknown colour 'NV21'; did you mean 'NV12'"),
    ],
)
def test_what_no_camera_gives(shape: tuple[int, ...], color: str, coding: str | None, message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        to_camera(np.zeros(shape, np.uint8), color, coding)
