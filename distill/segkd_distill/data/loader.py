"""Batches that are a pure function of (seed, batch number): the same with any number of workers and after a resume."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from segkd.data.base import Dataset
from segkd.data.formats.decode import DamagedFileError
from segkd.ending.exceptions import ending_of
from segkd.errors import SegkdError
from segkd_distill.data.geometry import Geometry, GeometryPipeline
from segkd_distill.data.seeding import Stream, generator
from segkd_distill.data.user_transforms import UserPipeline, UserTransforms

_PR_SET_PDEATHSIG = 1


class Batch(NamedTuple):
    """Training samples; the labelled rows come first.

    Attributes:
        images: uint8 RGB, (N, 3, H, W) in channels_last memory.
        masks: uint8 class indices, (N, H, W); 255 = ignore, everywhere in rows without labels.
        labelled: (N,) bool.
        ids: the samples' names.
        skipped: file and reason, once for every sample that another one stands in for.
    """

    images: Tensor
    masks: Tensor
    labelled: Tensor
    ids: list[str]
    skipped: tuple[tuple[str, str], ...] = ()


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
        geometry: the random scale, crop and flip of every image, or a user's own transforms.
        seed: the run's seed.
        skip_damaged: whether the next image of the epoch stands in for one whose files cannot be read.
    """

    def __init__(
        self,
        labelled: Dataset,
        unlabelled: Dataset | None,
        *,
        rows: Rows,
        geometry: Geometry | UserTransforms,
        seed: int,
        skip_damaged: bool = False,
    ) -> None:
        self.labelled, self.unlabelled = labelled, unlabelled
        self.rows, self.seed, self.skip_damaged = rows, seed, skip_damaged
        self._pipeline = GeometryPipeline(geometry) if isinstance(geometry, Geometry) else UserPipeline(geometry)
        self._orders: dict[tuple[Stream, int], np.ndarray] = {}

    def __getitem__(self, number: int) -> Batch:
        """Read, transform and stack one batch.

        Raises:
            SegkdError: naming the file, if one cannot be read.
        """
        height, width = self._pipeline.crop
        images = np.empty((self.rows.total, height, width, 3), np.uint8)
        masks = np.empty((self.rows.total, height, width), np.uint8)
        ids: list[str] = []
        skipped: list[tuple[str, str]] = []
        for row in range(self.rows.total):
            rng = generator(self.seed, Stream.GEOMETRY, number, row)
            image, mask, name = self._read_row(number, row, skipped)
            images[row], masks[row] = self._pipeline(image, mask, rng)
            ids.append(name)
        labelled = torch.arange(self.rows.total) < self.rows.labelled
        tensors = torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(masks), labelled
        return Batch(*tensors, ids, tuple(skipped))

    def epoch(self, number: int) -> int:
        """The 0-based pass over the labelled data that a batch begins in."""
        return number * self.rows.labelled // len(self.labelled)

    def _read_row(
        self, number: int, row: int, skipped: list[tuple[str, str]]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, str]:
        """Image, mask (None without labels) and name of one row; adds to ``skipped`` what it had to pass over."""
        if row < self.rows.labelled:
            data, stream, place = self.labelled, Stream.LABELLED_ORDER, number * self.rows.labelled + row
        elif self.unlabelled is not None:
            data, stream = self.unlabelled, Stream.UNLABELLED_ORDER
            place = number * self.rows.unlabelled + row - self.rows.labelled
        else:
            raise SegkdError("unlabelled rows were asked for, but there is no unlabelled data set")
        for passed in range(len(data)):
            index = self._index(stream, len(data), place + passed)
            try:
                if row < self.rows.labelled:
                    return data.read(index)
                return data.read_image(index), None, data.ids[index]
            except DamagedFileError as error:
                if not self.skip_damaged:
                    raise
                skipped.append((str(error.problem.path), error.problem.what))
        raise SegkdError(f"none of the {len(data)} training images can be read; the last one: {': '.join(skipped[-1])}")

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
    before = set(multiprocessing.active_children())
    stream: Iterator[Batch | _Failure] | None = None
    try:
        stream = _loader(source, range(start, stop), workers, pin_memory)
        for item in stream:
            if isinstance(item, _Failure):
                raise item.error()
            yield item
    finally:
        _end_workers(stream, before)


def _end_workers(stream: Any, before: set[Any]) -> None:
    """End the workers, which heed no SIGTERM: Python would wait for them for ever when the program ends.

    Also those of a loader that could not start all of them.
    """
    try:
        if stream is not None:
            stream._shutdown_workers()  # first, or torch takes their end for a crash
    finally:
        for worker in set(multiprocessing.active_children()) - before:
            worker.kill()
            worker.join()


def _loader(source: BatchSource, numbers: range, workers: int, pin_memory: bool) -> Iterator[Batch | _Failure]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers > cores:
        print(f"--workers {workers} on {cores} CPU cores: {cores} may be faster", file=sys.stderr)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)  # said above, in one line
        loader = DataLoader(
            _Reported(source),
            batch_size=None,
            sampler=numbers,
            num_workers=workers,
            worker_init_fn=_prepare_worker,
            collate_fn=_unchanged,
            pin_memory=pin_memory,
            generator=torch.Generator(),  # its own, so that starting workers draws nothing from the run's
        )
        return iter(loader)


class _Failure(NamedTuple):
    """What a worker could not do: the line and exit code of its exception, and its traceback for ``--debug``."""

    line: str
    exit_code: int
    traceback: str

    def error(self) -> SegkdError:
        """An exception of this process that ends in the same line and exit code."""
        error = SegkdError(self.line)
        error.exit_code = self.exit_code
        error.__cause__ = RuntimeError(f"in a loading process:\n{self.traceback}")
        return error


class _Reported(TorchDataset[Batch | _Failure]):
    """Hands any exception over as values: DataLoader would wrap it into text, and some cannot be pickled."""

    def __init__(self, source: BatchSource) -> None:
        self.source = source

    def __getitem__(self, number: int) -> Batch | _Failure:
        try:
            return self.source[number]
        except Exception as error:
            line, code = ending_of(error)
            return _Failure(line or "", code, "".join(traceback.format_exception(error)))


def _unchanged(item: Any) -> Any:
    return item


def _pinned(batch: Batch) -> Batch:
    tensors = (batch.images.pin_memory(), batch.masks.pin_memory(), batch.labelled.pin_memory())
    return Batch(*tensors, batch.ids, batch.skipped)


def _prepare_worker(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)
    # A signal to the process group is the parent's affair: it finishes its step, saves, and ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":  # ... unless it is gone, killed by SIGKILL for example
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
