from __future__ import annotations

import numpy as np
import pytest

from segkd_deploy.camera import to_camera
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.parity.diagnosis.frames import in_codes, join_nv12, resample, scale_contrast, split_nv12

RGB = GraphSpec(1, 4, 6, 3)
MEAN = (120.0, 100.0, 80.0)


def image(seed: int = 0) -> np.ndarray:
    # Pairs of equal pixels, so that NV12's chroma loses nothing.
    return np.random.default_rng(seed).integers(60, 180, (2, 3, 3), dtype=np.uint8).repeat(2, axis=0).repeat(2, axis=1)


@pytest.mark.parametrize(("color", "yuv"), [("RGB", None), ("BGR", None), ("NV12", "bt709"), ("NV12", "bt601-full")])
def test_a_change_of_colours_is_the_same_in_every_camera(color: str, yuv: str | None) -> None:
    spec = GraphSpec(1, 4, 6, 3, color=color, yuv=yuv)
    matrix = np.array([[0.8, 0.1, 0.0], [0.0, 0.9, 0.1], [0.2, 0.0, 0.7]])
    offset = np.array([3.0, -4.0, 5.0])
    wanted = image() @ matrix.T + offset
    given = to_camera(image(), color, yuv)[None].astype(np.float32)
    changed = in_codes(matrix, offset, spec).apply(given, spec)[0]
    expected = to_camera(np.rint(wanted).clip(0, 255).astype(np.uint8), color, yuv)
    np.testing.assert_allclose(changed, expected, atol=1.6)


def test_contrast_is_scaled_around_the_mean() -> None:
    frames = image()[None]
    found = scale_contrast(frames, RGB, MEAN, 0.5)
    np.testing.assert_allclose(found, (frames + np.array(MEAN)) / 2, atol=1e-4)
    np.testing.assert_allclose(scale_contrast(frames, RGB, MEAN, 1.0), frames, atol=1e-4)


def test_planes_of_nv12() -> None:
    spec = GraphSpec(1, 4, 6, 3, color="NV12", yuv="bt709")
    frames = np.arange(36, dtype=np.float32).reshape(1, 6, 6)
    luma, chroma = split_nv12(frames, spec)
    assert luma.shape == (1, 4, 6) and chroma[0, 1, 2].tolist() == [34, 35]
    np.testing.assert_array_equal(join_nv12(luma, chroma), frames)


def test_resample() -> None:
    frames = image()[None].astype(np.float32)
    pick_rows, pick_columns = np.eye(4)[[0, 2]], np.eye(6)[[5, 1]]
    np.testing.assert_array_equal(resample(frames, RGB, pick_rows, pick_columns), frames[:, [0, 2]][:, :, [5, 1]])
