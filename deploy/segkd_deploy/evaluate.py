"""Labels and scores of a running graph, for frames in memory and for whole data sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from segkd.data import Dataset
from segkd.errors import SegkdError
from segkd.metrics import ConfusionMatrix
from segkd_deploy.camera import to_camera
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.runners import Runner


def label_frames(runner: Runner, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Label any number of frames; a last batch that is too small is filled up with its last frame.

    Args:
        runner: an open runner.
        frames: uint8, of the shape ``runner.spec.frames_shape(N)``.

    Returns:
        uint8, of the shape ``runner.spec.labels_shape(N)``.
    """
    batch = runner.spec.batch or 1
    parts = []
    for start in range(0, len(frames), batch):
        part = frames[start : start + batch]
        filled = part if len(part) == batch else np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
        parts.append(runner.infer(np.ascontiguousarray(filled))[: len(part)])
    return np.concatenate(parts)


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


def evaluate_graph(
    runner: Runner,
    dataset: Dataset,
    class_names: Sequence[str],
    progress: Callable[[int], None] = lambda images: None,
    each: Callable[[NDArray[np.uint8], NDArray[np.uint8]], None] = lambda labels, truth: None,
) -> ConfusionMatrix:
    """Score a graph on a whole data set.

    Images are resized to the frame's size and get its colours; labels are resized back to the size of the truth,
    without what a letterbox added.

    Args:
        runner: an open runner.
        dataset: a data set with masks and the graph's classes.
        class_names: the graph's classes.
        progress: called after every batch with the number of its images.
        each: called with labels and truth of each image, (height, width) of the truth.

    Raises:
        SegkdError: if the data set has other classes or no masks, or a file cannot be read.
    """
    if not dataset.has_masks:
        raise SegkdError("the data set has no masks to score against; name a labelled one with --data")
    if list(dataset.labels.names) != list(class_names):
        raise SegkdError(
            f"the graph's classes are {', '.join(class_names)}; the data set has {', '.join(dataset.labels.names)}"
        )
    matrix = ConfusionMatrix(len(class_names))
    batch = runner.spec.batch or 1
    for start in range(0, len(dataset), batch):
        samples = [dataset.read(index) for index in range(start, min(start + batch, len(dataset)))]
        frames = np.stack([frame_of(sample.image, runner.spec) for sample in samples])
        for sample, labels in zip(samples, label_frames(runner, frames), strict=True):
            fitted = resize_labels(crop_content(labels, runner.spec), *sample.mask.shape)
            matrix.update(fitted, sample.mask)
            each(fitted, sample.mask)
        progress(len(samples))
    return matrix
