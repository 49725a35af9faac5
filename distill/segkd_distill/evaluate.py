"""Evaluation on whole images, at the size of their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkd.data.base import Dataset, Sample
from segkd.errors import SegkdError
from segkd.metrics import ConfusionMatrix
from segkd_distill.device import place
from segkd_distill.models.segmenter import Segmenter

# Classes upsampled at a time; 32 classes of a 1024x2048 image take 256 MB.
_CLASSES_AT_ONCE = 32

PredictionHandler = Callable[[str, NDArray[np.uint8]], None]


def evaluate(
    model: Segmenter,
    dataset: Dataset,
    device: torch.device,
    *,
    batch: int = 1,
    on_prediction: PredictionHandler | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> ConfusionMatrix:
    """Count right and wrong pixels over a data set.

    Always in float32, with weights and images in channels_last memory: the same weights give the same counts, whether
    they were just trained or read from a file. Another ``batch`` may pick other kernels and turn a pixel where two
    classes tie to the last bit; training and ``segkd eval`` both use 1.

    Args:
        model: moved to ``device``; its training mode is restored.
        dataset: with masks; images may differ in size.
        device: where to run.
        batch: consecutive images of equal size that go through the network together.
        on_prediction: called with each image's id and uint8 labels (H, W).
        on_progress: called with the number of images done.

    Raises:
        SegkdError: if the data set has no masks, or other classes in number than the network.
    """
    if not dataset.has_masks:
        raise SegkdError("this data set has no labels to evaluate against; name one with masks")
    if dataset.labels.num_classes != model.num_classes:
        raise SegkdError(
            f"the network has {model.num_classes} classes, the data set {dataset.labels.num_classes}: "
            "evaluate on a data set with the classes that it was trained on"
        )
    place(model, device)
    confusion = ConfusionMatrix(dataset.labels.num_classes, dataset.labels.ignore)
    was_training = model.training
    model.eval()
    done = 0
    try:
        for samples in equal_sizes(dataset, batch):
            labels = predict(model, np.stack([sample.image for sample in samples]))
            confusion.update(labels, np.stack([sample.mask for sample in samples]))
            for sample, prediction in zip(samples, labels, strict=True):
                if on_prediction is not None:
                    on_prediction(sample.id, prediction)
            done += len(samples)
            if on_progress is not None:
                on_progress(done)
    finally:
        model.train(was_training)
    return confusion


@torch.no_grad()
def predict(model: Segmenter, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The most likely class of every pixel.

    Args:
        model: in eval mode, with its weights in channels_last memory, on the device to use.
        images: uint8 RGB (N, H, W, 3).

    Returns:
        uint8 (N, H, W).
    """
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).to(model.mean.device)
    logits = model(pixels).logits.float()
    labels: NDArray[np.uint8] = upsampled_argmax(model, logits, images.shape[1:3]).cpu().numpy()
    return labels


def upsampled_argmax(model: Segmenter, logits: Tensor, size: tuple[int, ...]) -> Tensor:
    """``argmax`` of the upsampled logits, without holding all upsampled classes at once.

    Args:
        model: knows how to upsample.
        logits: (N, K, h, w).
        size: (height, width) of the result.

    Returns:
        uint8 (N, height, width); of equal classes the first.
    """
    best: Tensor | None = None
    labels = torch.empty(0)
    for first in range(0, logits.shape[1], _CLASSES_AT_ONCE):
        values, indices = model.upsample(logits[:, first : first + _CLASSES_AT_ONCE], size).max(1)
        if best is None:
            best, labels = values, indices.to(torch.uint8)
            continue
        higher = values > best
        best = torch.where(higher, values, best)
        labels = torch.where(higher, (indices + first).to(torch.uint8), labels)
    return labels


def equal_sizes(dataset: Dataset, batch: int) -> Iterator[list[Sample]]:
    """Consecutive samples in lists of at most ``batch`` that all have one size."""
    samples: list[Sample] = []
    for index in range(len(dataset)):
        sample = dataset.read(index)
        if samples and (len(samples) == batch or samples[0].image.shape != sample.image.shape):
            yield samples
            samples = []
        samples.append(sample)
    if samples:
        yield samples
