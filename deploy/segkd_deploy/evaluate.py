"""Labels of a running graph, and images and labels brought to its sizes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segkd.metrics import ConfusionMatrix
from segkd_deploy.camera import to_camera
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.runners import Runner
from segkd_deploy.runners.batches import in_batches


def label_frames(runner: Runner, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Label any number of frames.

    Args:
        runner: an open runner.
        frames: uint8, of the shape ``runner.spec.frames_shape(N)``.

    Returns:
        uint8, of the shape ``runner.spec.labels_shape(N)``.
    """
    return in_batches(frames, runner.spec.batch or 1, runner.infer)


def confusion(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], num_classes: int) -> ConfusionMatrix:
    """The confusion matrix of labels (N, height, width); 255 in the truth is not counted."""
    matrix = ConfusionMatrix(num_classes)
    matrix.update(prediction, truth)
    return matrix


def resize_frame(image: NDArray[np.uint8], height_px: int, width_px: int) -> NDArray[np.uint8]:
    """An image (height, width, 3) at the graph's size: bilinear, not antialiased; unchanged if it has that size."""
    import cv2

    if image.shape[:2] == (height_px, width_px):
        return image
    return np.asarray(cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_LINEAR), np.uint8)


def resize_labels(labels: NDArray[np.uint8], height_px: int, width_px: int) -> NDArray[np.uint8]:
    """Labels (height, width) at another size, nearest pixel centre; unchanged if they have that size."""
    import cv2

    if labels.shape == (height_px, width_px):
        return labels
    return np.asarray(cv2.resize(labels, (width_px, height_px), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def frame_of(image: NDArray[np.uint8], spec: GraphSpec) -> NDArray[np.uint8]:
    """An RGB image (height, width, 3) as one frame of a graph, of the shape ``spec.frames_shape(1)[1:]``."""
    return to_camera(resize_frame(image, spec.height_px, spec.width_px), spec.color, spec.yuv)


def crop_content(labels: NDArray[np.uint8], spec: GraphSpec) -> NDArray[np.uint8]:
    """The part of labels (height, width) that the frame fills: what a letterbox added is left out."""
    if spec.content_px is None:
        return labels
    top, left, height_px, width_px = spec.content_px
    return labels[top : top + height_px, left : left + width_px]
