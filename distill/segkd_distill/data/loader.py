"""Batches that are a pure function of (seed, batch number): the same with any number of workers and after a resume."""

from __future__ import annotations

import signal
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from segkd.data.base import Dataset
from segkd.errors import SegkdError
from segkd_distill.data.geometry import Geometry, GeometryPipeline
from segkd_distill.data.seeding import Stream, generator


class Batch(NamedTuple):
    """Training samples; the labelled rows come first.

    Attributes:
        images: uint8 RGB, (N, 3, H, W) in channels_last memory.
        masks: uint8 class indices, (N, H, W); 255 = ignore, everywhere in rows without labels.
        labelled: (N,) bool.
        ids: the samples' names.
    """

    images: Tensor
    masks: Tensor
    labelled: Tensor
    ids: list[str]


@dataclass(frozen=True)
class Rows:
    """How many rows of a batch come from which data set."""

    labelled: int
    unlabelled: int

    @property
    def total(self) -> int:
        """Rows of a batch."""
        return self.labelled + self.unlabelled


def split_rows(batch: int, mixed: bool) -> Rows:
    """Half of a mixed batch has no labels; an odd row more goes to the labelled half.

    Raises:
        SegkdError: for a mixed batch of one image.
    """
    if not mixed:
        return Rows(batch, 0)
    if batch < 2:
        raise SegkdError("train.batch is 1, but with unlabelled frames a batch needs 2 images or more: raise --batch")
    return Rows(batch - batch // 2, batch // 2)


class BatchSource(TorchDataset[Batch]):
    """Batch number -> batch.

    Each data set is passed through in a new random order every epoch; batches run across the end of an epoch, so that
    no image is left out. The two data sets keep their own epochs.

    Args:
        labelled: images with masks.
        unlabelled: further images, whose masks are never read; None for batches of labelled images only.
        rows: images of each kind per batch.
        geometry: the random scale, crop and flip of every image.
        seed: the run's seed.
    """

    def __init__(
        self, labelled: Dataset, unlabelled: Dataset | None, *, rows: Rows, geometry: Geometry, seed: int
    ) -> None:
        self.labelled, self.unlabelled = labelled, unlabelled
        self.rows, self.seed = rows, seed
        self._pipeline = GeometryPipeline(geometry)
        self._orders: dict[tuple[Stream, int], np.ndarray] = {}

    def __getitem__(self, number: int) -> Batch:
        """Read, transform and stack one batch.

        Raises:
            SegkdError: naming the file, if one cannot be read.
        """
        height, width = self._pipeline.geometry.crop
        images = np.empty((self.rows.total, height, width, 3), np.uint8)
        masks = np.empty((self.rows.total, height, width), np.uint8)
        ids: list[str] = []
        for row in range(self.rows.total):
            rng = generator(self.seed, Stream.GEOMETRY, number, row)
            if row < self.rows.labelled:
                index = self._index(Stream.LABELLED_ORDER, len(self.labelled), number * self.rows.labelled + row)
                image, mask, name = self.labelled.read(index)
                images[row], masks[row] = self._pipeline(image, mask, rng)
            else:
                if self.unlabelled is None:
                    raise SegkdError("unlabelled rows were asked for, but there is no unlabelled data set")
                place = number * self.rows.unlabelled + row - self.rows.labelled
                index = self._index(Stream.UNLABELLED_ORDER, len(self.unlabelled), place)
                name = self.unlabelled.ids[index]
                images[row], masks[row] = self._pipeline(self.unlabelled.read_image(index), None, rng)
            ids.append(name)
        labelled = torch.arange(self.rows.total) < self.rows.labelled
        return Batch(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(masks), labelled, ids)

    def epoch(self, number: int) -> int:
        """The 0-based pass over the labelled data that a batch begins in."""
        return number * self.rows.labelled // len(self.labelled)

    def _index(self, stream: Stream, size: int, place: int) -> int:
        epoch, position = divmod(place, size)
        if (stream, epoch) not in self._orders:
            for old in [key for key in self._orders if key[0] == stream and key[1] < epoch - 1]:
                del self._orders[old]
            self._orders[stream, epoch] = generator(self.seed, stream, epoch).permutation(size)
        return int(self._orders[stream, epoch][position])


def batches(
    source: BatchSource, *, start: int, stop: int, workers: int, pin_memory: bool = False
) -> Generator[Batch, None, None]:
    """Batches ``start`` to ``stop - 1`` in order.

    Args:
        source: makes them.
        start: the first batch's number; a resumed run gives another than 0.
        stop: one past the last number.
        workers: processes that prepare them; 0 prepares them in this process when they are asked for.
        pin_memory: whether they lie in page-locked memory, for a GPU.

    Raises:
        SegkdError: naming the file, if one cannot be read.
    """
    if workers == 0:
        for number in range(start, stop):
            yield _pinned(source[number]) if pin_memory else source[number]
        return
    loader = DataLoader(
        _Reported(source),
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        worker_init_fn=_prepare_worker,
        collate_fn=_unchanged,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # its own, so that starting workers draws nothing from the run's
    )
    for item in loader:
        if isinstance(item, str):
            raise SegkdError(item)
        yield item


class _Reported(TorchDataset[Batch | str]):
    """Hands a user's error over as text: DataLoader would wrap it into a traceback."""

    def __init__(self, source: BatchSource) -> None:
        self.source = source

    def __getitem__(self, number: int) -> Batch | str:
        try:
            return self.source[number]
        except SegkdError as error:
            return str(error)


def _unchanged(item: Any) -> Any:
    return item


def _pinned(batch: Batch) -> Batch:
    return Batch(batch.images.pin_memory(), batch.masks.pin_memory(), batch.labelled.pin_memory(), batch.ids)


def _prepare_worker(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)
    # A signal to the process group is the parent's affair: it finishes its step, saves, and ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
