from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from segkd_deploy.evaluate import label_frames, resize_frame, resize_labels
from segkd_deploy.runners import open_runner
from tests.deploy.artifacts import labels_of, make_frames, make_graph


@pytest.mark.parametrize("batch", [1, 2, "N"])
def test_any_number_of_frames_through_any_batch(tmp_path: Path, batch: int | str) -> None:
    onnx.save(make_graph(batch=batch), tmp_path / "graph.onnx")
    frames = make_frames(5)
    with open_runner(tmp_path / "graph.onnx") as runner:
        np.testing.assert_array_equal(label_frames(runner, frames), labels_of(frames))


def test_labels_are_resized_to_the_nearest_pixel_centre() -> None:
    labels = np.array([[0, 1, 2, 3]], np.uint8)
    np.testing.assert_array_equal(resize_labels(labels, 1, 8), [[0, 0, 1, 1, 2, 2, 3, 3]])
    # Centres of thirds of 4 pixels lie at 0.67, 2.0 and 3.33.
    np.testing.assert_array_equal(resize_labels(labels, 1, 3), [[0, 2, 3]])


def test_frames_are_resized_bilinearly() -> None:
    image = np.array([[[0] * 3, [100] * 3]], np.uint8)
    np.testing.assert_array_equal(resize_frame(image, 1, 4)[0, :, 0], [0, 25, 75, 100])


def test_nothing_is_copied_at_the_right_size() -> None:
    image, labels = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)
    assert resize_frame(image, 4, 6) is image
    assert resize_labels(labels, 4, 6) is labels
