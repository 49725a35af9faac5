from __future__ import annotations

from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
import pytest
import torch

from segkd.errors import SegkdError
from segkd.manifest import Box
from segkd_deploy.camera import to_camera
from segkd_distill.models.segmenter import IMAGENET_MEAN
from segkd_export.graph.camera_frame import CameraFrame, CameraOptions, content_box
from tests.export.conftest import random_frames, random_network


def smooth(height_px: int, width_px: int) -> np.ndarray:
    """A picture without detail that subsampled chroma would lose."""
    coarse = np.random.default_rng(1).integers(60, 200, (3, 4, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_LINEAR))


def test_plain_frames_become_images() -> None:
    frames = torch.arange(2 * 4 * 5 * 3, dtype=torch.uint8).reshape(2, 4, 5, 3)
    camera = CameraFrame((4, 5))
    image = camera.to_image(frames)
    assert (image.dtype, image.shape) == (torch.float32, (2, 3, 4, 5))
    assert image[1, 2, 3, 4] == frames[1, 3, 4, 2] == 119
    assert camera.plain and camera.geometry() is None


def test_bgr_frames_become_the_same_image() -> None:
    image = random_frames(0, 1, (6, 8))
    bgr = CameraFrame((6, 8), CameraOptions(color="bgr"))
    expected = CameraFrame((6, 8)).to_image(torch.from_numpy(image))
    assert torch.equal(bgr.to_image(torch.from_numpy(to_camera(image[0], "BGR"))[None]), expected)
    assert (bgr.color, bgr.yuv) == ("BGR", None)


@pytest.mark.parametrize("coding", ["bt601", "bt709", "bt601-full", "bt709-full"])
def test_nv12_frames_become_nearly_the_same_image(coding: Literal["bt601", "bt709"]) -> None:
    image = smooth(24, 32)
    camera = CameraFrame((24, 32), CameraOptions(color="nv12", yuv=coding))
    found = camera.to_image(torch.from_numpy(to_camera(image, "NV12", coding))[None])[0].permute(1, 2, 0).numpy()
    assert np.abs(found - image).mean() < 1.5 and np.abs(found - image).max() < 15
    other = CameraFrame((24, 32), CameraOptions(color="nv12", yuv="bt709" if coding == "bt601" else "bt601"))
    wrong = other.to_image(torch.from_numpy(to_camera(image, "NV12", coding))[None])[0].permute(1, 2, 0).numpy()
    assert np.abs(wrong - image).mean() > np.abs(found - image).mean()


def test_colours_out_of_range_are_clamped() -> None:
    frame = torch.full((1, 6, 4), 255, dtype=torch.uint8)
    image = CameraFrame((4, 4), CameraOptions(color="nv12")).to_image(frame)
    assert image.min() >= 0 and image.max() == 255


def test_the_resize_is_that_of_opencv() -> None:
    image = random_frames(2, 1, (30, 44))
    camera = CameraFrame((17, 25), CameraOptions(frame=(30, 44)))
    found = camera.to_image(torch.from_numpy(image))[0].permute(1, 2, 0).numpy()
    theirs = cv2.resize(image[0].astype(np.float32), (25, 17), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(found, theirs, atol=0.02)


@pytest.mark.parametrize(
    ("frame", "imgsz", "box"),
    [
        ((1080, 1920), (512, 1024), (0, 57, 512, 910)),
        ((64, 96), (60, 101), (0, 5, 60, 90)),
        ((100, 400), (60, 101), (17, 0, 25, 101)),
        ((512, 1024), (512, 1024), (0, 0, 512, 1024)),
        ((1, 5000), (60, 101), (29, 0, 1, 101)),
    ],
)
def test_content_keeps_the_shape_and_lies_in_the_middle(
    frame: tuple[int, int], imgsz: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    top, left, height_px, width_px = box
    assert content_box(frame, imgsz) == Box(top_px=top, left_px=left, height_px=height_px, width_px=width_px)


@pytest.mark.parametrize("frame", [(40, 120), (120, 40)])
def test_a_letterbox_is_the_mean_colour(frame: tuple[int, int]) -> None:
    camera = CameraFrame((60, 100), CameraOptions(frame=frame, resize="letterbox"), IMAGENET_MEAN)
    image = camera.to_image(torch.full((1, *frame, 3), 7, dtype=torch.uint8))[0]
    box = camera.content
    inside = torch.zeros(60, 100, dtype=torch.bool)
    inside[box.top_px : box.top_px + box.height_px, box.left_px : box.left_px + box.width_px] = True
    torch.testing.assert_close(image[:, inside], torch.full_like(image[:, inside], 7.0))
    assert torch.equal(image[:, ~inside].unique(dim=1).flatten(), torch.tensor(IMAGENET_MEAN))
    assert inside.sum() < inside.numel()


@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
@pytest.mark.parametrize("frame", [(40, 120), (120, 40), (60, 100)])
def test_labels_come_back_to_their_place(frame: tuple[int, int], resize: Literal["stretch", "letterbox"]) -> None:
    """Logits that say where a pixel lies in the image are resized to where it lies in the frame."""
    network = random_network(0)
    camera = CameraFrame((60, 100), CameraOptions(frame=frame, resize=resize))
    rows = torch.arange(60).float().reshape(1, 1, 60, 1).expand(1, 1, 60, 100)
    columns = torch.arange(100).float().reshape(1, 1, 1, 100).expand(1, 1, 60, 100)
    scores = camera.to_scores(network, torch.cat([rows, columns], 1))
    assert scores.shape == (1, 2, *frame)
    box = camera.content
    for axis, (length, start, size) in enumerate(
        [(frame[0], box.top_px, box.height_px), (frame[1], box.left_px, box.width_px)]
    ):
        expected = start + (torch.arange(length) + 0.5) * size / length - 0.5
        found = scores[0, axis].select(1 - axis, 0)
        # Cut to whole pixels of the frame, and clamped at the image's edge.
        assert (found - expected.clamp(0, (60, 100)[axis] - 1)).abs().max() <= 0.51 * max(1.0, size / length)


def test_labels_of_the_graph_size_keep_the_letterbox() -> None:
    camera = CameraFrame((60, 100), CameraOptions(frame=(40, 120), resize="letterbox", labels="graph"))
    assert camera.labels_px == (60, 100)
    assert camera.to_scores(random_network(0), torch.zeros(1, 2, 8, 13)).shape == (1, 2, 60, 100)
    geometry = camera.geometry()
    assert geometry is not None
    assert geometry.content_px() == (13, 0, 33, 100)


def test_the_geometry_of_labels_of_the_frame_size() -> None:
    options = CameraOptions(frame=(40, 120), resize="letterbox")
    geometry = CameraFrame((60, 100), options).geometry()
    assert geometry is not None
    assert (geometry.height_px, geometry.width_px, geometry.labels) == (60, 100, "frame")
    assert geometry.content_px() is None
    stretched = CameraFrame((60, 100), replace(options, resize="stretch", labels="graph")).geometry()
    assert stretched is not None and stretched.content_px() is None


def test_nv12_needs_even_sides() -> None:
    with pytest.raises(SegkdError, match=r"even sides, this one is 60x101 .* --frame HxW"):
        CameraFrame((60, 101), CameraOptions(color="nv12"))
    assert CameraFrame((60, 101), CameraOptions(frame=(64, 96), color="nv12")).frames_shape(2) == (2, 96, 96)
