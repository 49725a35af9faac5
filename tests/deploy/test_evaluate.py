from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from segkd.data import LabelSpace
from segkd.errors import SegkdError
from segkd.metrics import scores
from segkd_deploy.evaluate import evaluate_graph, label_frames, resize_frame, resize_labels
from segkd_deploy.runners import open_runner
from tests.deploy.artifacts import HEIGHT_PX, NAMES, WIDTH_PX, labels_of, make_frames, make_graph
from tests.deploy.blocks import Blocks


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


@pytest.mark.parametrize("batch", [1, 2])
def test_whole_set_at_its_own_size(tmp_path: Path, batch: int) -> None:
    onnx.save(make_graph(batch=batch), tmp_path / "graph.onnx")
    dataset, steps = Blocks(tmp_path), []
    with open_runner(tmp_path / "graph.onnx") as runner:
        counts = evaluate_graph(runner, dataset, NAMES, steps.append).counts
    # Every second pixel doubled: the frame at the graph's size mixes equal pixels, so all labels are right but for
    # the row whose truth was moved by one class (without its ignored first column).
    assert counts.sum() == 5 * (2 * HEIGHT_PX) * (2 * WIDTH_PX - 1)
    assert counts.sum() - np.diagonal(counts).sum() == 2 * WIDTH_PX - 1
    assert sum(steps) == 5
    assert scores(counts).aacc == pytest.approx(1 - 1 / (5 * 2 * HEIGHT_PX))


def test_refuses_other_classes_and_plain_frames(pristine: Path, tmp_path: Path) -> None:
    dataset = Blocks(tmp_path)
    with open_runner(pristine / "model.fp32.onnx") as runner:
        with pytest.raises(SegkdError, match="classes are a, b; the data set has red, green, blue"):
            evaluate_graph(runner, dataset, ["a", "b"])
        dataset.labels = LabelSpace(("red",), ((0, 0, 0),))
        with pytest.raises(SegkdError, match="the data set has red"):
            evaluate_graph(runner, dataset, NAMES)
        dataset.has_masks = False
        with pytest.raises(SegkdError, match="no masks to score against"):
            evaluate_graph(runner, dataset, NAMES)
