"""A decoded copy of a data set on disk: uint8 pixels that are mapped into memory and read without decoding.

One folder per data set, split and kind below the cache's folder:

    images.bin   uint8 RGB, one image after the other
    masks.bin    uint8 class indices, 255 = ignore; only for data sets with masks
    cache.json   sizes and offsets of the samples, and a stamp of the source's files

The folder appears in one step, when it is complete. A lock file beside it makes concurrent runs wait for the one that
fills it. A source whose files changed (name, size or time of change) is decoded again.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Dataset
from segkd.data.cache_files import IMAGES, MASKS, Entry, fill, needed_bytes, pixel_files, read_entries, source_stamp
from segkd.errors import SegkdError

_MIB = 2**20


class CachedDataset(Dataset):
    """A data set read from its decoded copy; the arrays cannot be written to.

    Maps are opened when they are first used in a process, so that an object can be sent to a worker.

    Args:
        source: the data set that was decoded.
        folder: the complete copy.
        entries: its samples.
        with_masks: whether it has masks.
    """

    def __init__(self, source: Dataset, folder: Path, entries: list[Entry], *, with_masks: bool) -> None:
        self._source, self._folder, self._entries = source, folder, entries
        self.ids, self.problems, self.has_masks = source.ids, source.problems, with_masks
        if source.has_masks:
            self.labels = source.labels
        self._open_maps: dict[str, NDArray[np.uint8]] = {}
        for name, _ in pixel_files(with_masks):
            self._map(name)  # once opened, a copy stays readable when another run replaces it

    def image_path(self, index: int) -> Path:
        """The source's file of an image."""
        return self._source.image_path(index)

    def mask_path(self, index: int) -> Path | None:
        """The source's file of a mask."""
        return self._source.mask_path(index)

    def read_image(self, index: int) -> NDArray[np.uint8]:
        """One image as read-only uint8 RGB (height, width, 3)."""
        entry = self._entry(index)
        pixels = entry.height * entry.width
        flat = self._map(IMAGES)[3 * entry.place : 3 * (entry.place + pixels)]
        return flat.reshape(entry.height, entry.width, 3)

    def read_mask(self, index: int) -> NDArray[np.uint8]:
        """One mask as read-only uint8 class indices (height, width), 255 = ignore."""
        if not self.has_masks:
            return self._source.read_mask(index)
        entry = self._entry(index)
        flat = self._map(MASKS)[entry.place : entry.place + entry.height * entry.width]
        return flat.reshape(entry.height, entry.width)

    def fingerprint(self) -> str:
        """The source's."""
        return self._source.fingerprint()

    def _entry(self, index: int) -> Entry:
        entry = self._entries[index]
        entry.require_whole()
        return entry

    def _map(self, name: str) -> NDArray[np.uint8]:
        if name not in self._open_maps:
            path, pixels = self._folder / name, sum(entry.height * entry.width for entry in self._entries)
            size = path.stat().st_size if path.exists() else -1
            if size != pixels * (3 if name == IMAGES else 1):
                raise SegkdError(f"cache {self._folder}: another run has replaced this copy; start this run again")
            mapped = np.memmap(path, np.uint8, "r") if size else np.empty(0, np.uint8)
            self._open_maps[name] = np.asarray(mapped)
        return self._open_maps[name]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open_maps": {}}  # a pickled map would be a copy of the file


def open_cached(
    source: Dataset,
    folder: Path,
    name: str,
    *,
    root: Path | None = None,
    with_masks: bool = True,
    skip_damaged: bool = False,
    on_image: Callable[[], object] = lambda: None,
) -> CachedDataset:
    """Open the decoded copy of a data set; make it first if there is none, or if the source has changed.

    Args:
        source: the data set.
        folder: where copies lie; made if need be.
        name: what this one is called there, the same in every run (data specification and split).
        root: the data set's folder, whose declarations (``classes.yaml`` and the like) belong to the source.
        with_masks: False leaves the masks out, for frames that are used without labels.
        skip_damaged: note files that cannot be decoded instead of stopping; reading them raises.
        on_image: called after every decoded image.

    Raises:
        DamagedFileError: naming the first file that cannot be decoded, unless ``skip_damaged``.
        SegkdError: if the disk has too little room, or the folder cannot be written.
    """
    with_masks = with_masks and source.has_masks
    stem = hashlib.sha256(f"{name}\n{with_masks}".encode()).hexdigest()[:16]
    final = folder / stem
    stamp = source_stamp(source, root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{stem}.lock", name):
            entries = read_entries(final, stamp, with_masks)
            if entries is None:
                _report_and_check_room(source, folder, name, with_masks, changed=final.exists())
                entries = fill(source, final, name, stamp, with_masks, skip_damaged, on_image)
            cached = CachedDataset(source, final, entries, with_masks=with_masks)
    except OSError as error:
        raise SegkdError(f"cache {folder}: {error.strerror or error}; choose another folder or make room") from error
    if not skip_damaged:
        for entry in entries:
            entry.require_whole()
    return cached


def _report_and_check_room(source: Dataset, folder: Path, name: str, with_masks: bool, *, changed: bool) -> None:
    needed, free = needed_bytes(source, with_masks), shutil.disk_usage(folder).free
    reason = "the source has changed or the copy is incomplete, " if changed else ""
    print(
        f"cache: {reason}decoding {len(source)} images of {name} into {folder}: "
        f"{needed / _MIB:.1f} MiB needed, {free / _MIB:.1f} MiB free",
        file=sys.stderr,
    )
    if needed > free:
        raise SegkdError(
            f"cache {folder}: {needed / _MIB:.1f} MiB needed for {len(source)} images of {name}, "
            f"{free / _MIB:.1f} MiB free; make room, name another folder, or leave the cache out"
        )


@contextmanager
def _locked(path: Path, name: str) -> Iterator[None]:
    """Hold a lock that ends with the process, however that ends."""
    import fcntl

    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"cache: waiting for another run that decodes {name} ({path})", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
