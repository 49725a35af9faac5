"""The one loop over a data set: read, label, measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Dataset, Sample
from segkd.errors import SegkdError
from segkd.evaluation.predictor import NotFiniteError, Predictor
from segkd.evaluation.protocols import FULL, Protocol
from segkd.metrics import Areas, MetricSuite

# Called with the image's index, the sample as it was scored, its labels, and its own areas.
Handler = Callable[[int, Sample, NDArray[np.uint8], Areas], None]


def evaluate_set(
    predictor: Predictor,
    dataset: Dataset,
    suite: MetricSuite,
    *,
    protocol: Protocol = FULL,
    on_prediction: Handler | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """Label and measure every image of a data set.

    The next image is read while the network works. Images come in the data set's order.

    Args:
        predictor: entered, with the classes of the data set.
        dataset: with masks; images may differ in size.
        suite: takes the measurements.
        protocol: what happens to an image and its labels first.
        on_prediction: called for every image.
        on_progress: called with the number of images done.

    Raises:
        SegkdError: if the data set has no masks, a file cannot be read, or the network's logits are not finite.
    """
    if not dataset.has_masks:
        raise SegkdError("this data set has no labels to evaluate against; name one with masks")
    done = 0
    for samples in _batches(_read_ahead(dataset, protocol), predictor.batch, one_size=predictor.one_size):
        try:
            labels = predictor.predict(samples)
        except NotFiniteError as error:
            raise SegkdError(f"image {samples[error.index].id}: {error}; check the weights") from error
        for sample, prediction in zip(samples, labels, strict=True):
            areas = suite.update(sample.id, prediction, sample.mask)
            if on_prediction is not None:
                on_prediction(done, sample, prediction, areas)
            done += 1
        if on_progress is not None:
            on_progress(done)


def _read_ahead(dataset: Dataset, protocol: Protocol) -> Iterator[Sample]:
    """The samples in order; one is always being read."""

    def read(index: int) -> Sample:
        return protocol.prepare(dataset.read(index))

    with ThreadPoolExecutor(1, "segkd-read") as reader:
        coming = reader.submit(read, 0) if len(dataset) else None
        for index in range(len(dataset)):
            assert coming is not None
            sample = coming.result()
            coming = reader.submit(read, index + 1) if index + 1 < len(dataset) else None
            yield sample


def _batches(samples: Iterator[Sample], batch: int, *, one_size: bool) -> Iterator[list[Sample]]:
    """Consecutive samples in lists of at most ``batch``, with ``one_size`` of images of one size."""
    waiting: list[Sample] = []
    for sample in samples:
        if waiting and one_size and waiting[0].image.shape != sample.image.shape:
            yield waiting
            waiting = []
        waiting.append(sample)
        if len(waiting) == batch:
            yield waiting
            waiting = []
    if waiting:
        yield waiting
