from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from segkd.data import open_dataset
from segkd.errors import SegkdError
from segkd_export.graph.camera_frame import CameraFrame
from segkd_export.reference import (
    Prediction,
    ReferenceFrames,
    pick_indices,
    predict,
    read_frames,
    say_stretched,
    with_response,
    write_reference,
)
from tests.export.conftest import ODD_SIZE, random_frames, random_network


def test_indices_are_spread() -> None:
    assert pick_indices(500, 8) == [0, 62, 125, 187, 250, 312, 375, 437]
    assert pick_indices(3, 8) == [0, 1, 2]
    assert pick_indices(8, 8) == list(range(8))


def test_frames_of_the_graph_size_are_read_as_they_are(workshop: Path) -> None:
    dataset = open_dataset(f"cityscapes:{workshop / 'data'}")
    frames = read_frames(dataset, 2, CameraFrame(ODD_SIZE))
    assert frames.ids == [dataset.ids[0], dataset.ids[2]]
    np.testing.assert_array_equal(frames.images[1], dataset.read_image(2))
    np.testing.assert_array_equal(frames.truth[1], dataset.read_mask(2))


def test_images_of_other_proportions_are_counted(workshop: Path) -> None:
    dataset = open_dataset(f"cityscapes:{workshop / 'data'}")
    height, width = ODD_SIZE
    tall = CameraFrame((2 * height, width))
    assert say_stretched(read_frames(dataset, 3, tall), tall) == (
        f"3 of 3 reference images have other proportions than the frame of {2 * height}x{width} and are "
        f"stretched by 2.00 (the first is {height}x{width}), which costs accuracy; --frame {height}x{width} "
        "--resize letterbox keeps their shape"
    )
    for frame in (ODD_SIZE, (2 * height, 2 * width), (64, 108)):
        assert say_stretched(read_frames(dataset, 3, CameraFrame(frame)), CameraFrame(frame)) is None


def test_other_sizes_are_resized_and_labels_never_mixed(workshop: Path) -> None:
    dataset = open_dataset(f"cityscapes:{workshop / 'data'}")
    frames = read_frames(dataset, 2, CameraFrame((30, 50)))
    assert frames.images.shape == (2, 30, 50, 3)
    assert frames.truth.shape == (2, 30, 50)
    assert frames.images.dtype == frames.truth.dtype == np.uint8
    assert set(np.unique(frames.truth)) <= set(range(19)) | {255}


def test_data_without_masks_is_refused(workshop: Path) -> None:
    dataset = open_dataset(f"cityscapes:{workshop / 'data'}")
    dataset.has_masks = False
    with pytest.raises(SegkdError, match="no masks"):
        read_frames(dataset, 2, CameraFrame(ODD_SIZE))


def test_prediction_holds_labels_margins_and_logits() -> None:
    network, images = random_network(0), random_frames(3, 2, ODD_SIZE)
    prediction = predict(network, images, torch.device("cpu"))
    with torch.no_grad():
        logits = network(torch.from_numpy(images).permute(0, 3, 1, 2)).logits
    ordered = network.upsample(logits, ODD_SIZE).sort(dim=1, descending=True).values
    np.testing.assert_allclose(prediction.logits, logits.numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(prediction.margin, (ordered[:, 0] - ordered[:, 1]).numpy(), rtol=2e-3, atol=1e-3)
    assert prediction.margin.dtype == np.float16
    assert prediction.labels.shape == (2, *ODD_SIZE)
    assert prediction.labels.dtype == np.uint8


def test_response_is_how_much_half_the_contrast_changes_the_logits() -> None:
    network, images, camera = random_network(0), random_frames(3, 2, ODD_SIZE), CameraFrame(ODD_SIZE)
    device = torch.device("cpu")
    response = with_response(predict(network, images, device), network, images, device, camera).contrast_response
    assert response is not None and response.shape == (2,) and response.dtype == np.float32
    with torch.no_grad():
        image = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        whole, half = (network(part).logits for part in (image, network.mean + 0.5 * (image - network.mean)))
    expected = [(float((b - a).norm()) / float(a.norm())) for a, b in zip(whole, half, strict=True)]
    np.testing.assert_allclose(response, expected, rtol=1e-3)


def test_files(tmp_path: Path) -> None:
    labels = np.ones((1, 2, 3), np.uint8)
    frames = ReferenceFrames(np.zeros((1, 2, 3, 3), np.uint8), labels, ["a"])
    student = Prediction(labels, labels.astype(np.float16), np.zeros((1, 4, 1, 1), np.float32))
    assert set(write_reference(tmp_path / "without", frames, student, None)) == {
        "frames",
        "truth",
        "student",
        "margins",
        "logits",
    }
    names = write_reference(tmp_path / "with", frames, student, labels * 2)
    assert np.load(tmp_path / "with" / names["logits"]).dtype == np.float16
    assert names["teacher"] == "teacher.npy"
    assert np.load(tmp_path / "with" / "teacher.npy", mmap_mode="r", allow_pickle=False).max() == 2
    assert json.loads((tmp_path / "with" / "ids.json").read_text()) == ["a"]
