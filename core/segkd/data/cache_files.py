"""The files of a decoded copy: how they are made, and whether they are complete and of this source."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from segkd.data.base import Dataset, Problem, Sample
from segkd.data.formats.decode import DamagedFileError
from segkd.errors import SegkdError
from segkd.files import read_json, write_json
from segkd.files.unfinished import replace_folder, unfinished

SCHEMA = 2
INDEX, IMAGES, MASKS = "cache.json", "images.bin", "masks.bin"
# Samples that are decoded before they are written; bounds the memory.
_CHUNK = 32
# Files of a data set's own folder that say what its masks mean, such as classes.yaml.
_DECLARATIONS = (".yaml", ".yml", ".json", ".txt")


@dataclass(frozen=True)
class Entry:
    """One cached sample.

    Attributes:
        height: in pixels.
        width: in pixels.
        place: pixels of all samples before it.
        damage: the file of it that cannot be read, and why; then it has no pixels.
    """

    height: int
    width: int
    place: int
    damage: tuple[str, str] | None = None

    def require_whole(self) -> None:
        """Raise the error that decoding gave.

        Raises:
            DamagedFileError: naming the file.
        """
        if self.damage is not None:
            path, what = self.damage
            raise DamagedFileError(Path(path), what)


def source_stamp(source: Dataset, root: Path | None = None) -> str:
    """A hash of everything that decides what decoding gives: files with sizes and times, classes, declarations."""
    digest = hashlib.sha256(f"{SCHEMA} {type(source).__qualname__} {source.fingerprint()}".encode())
    files = [path for index in range(len(source)) for path in (source.image_path(index), source.mask_path(index))]
    if root is not None and root.is_dir():
        files += sorted(path for path in root.iterdir() if path.suffix.lower() in _DECLARATIONS and path.is_file())
    for path in files:
        if path is not None:
            state = path.stat() if path.exists() else None
            digest.update(f"{path}:{state.st_size}:{state.st_mtime_ns}\n".encode() if state else b"gone\n")
    return digest.hexdigest()


def needed_bytes(source: Dataset, with_masks: bool) -> int:
    """Bytes of the decoded copy, from the headers of the image files; a damaged one counts nothing."""
    from PIL import Image

    channels = 4 if with_masks else 3
    total = 0
    for index in range(len(source)):
        try:
            with Image.open(source.image_path(index)) as picture:
                total += picture.width * picture.height * channels
        except (OSError, SyntaxError, ValueError):
            continue
    return total


def pixel_files(with_masks: bool) -> list[tuple[str, int]]:
    """The files of pixels, with their bytes per pixel."""
    return [(IMAGES, 3), (MASKS, 1)] if with_masks else [(IMAGES, 3)]


def read_entries(final: Path, stamp: str, with_masks: bool) -> list[Entry] | None:
    """The samples of a complete copy of this source, or None."""
    if not (final / INDEX).is_file():
        return None
    try:
        index = read_json(final / INDEX)
        if index["schema"] != SCHEMA or index["stamp"] != stamp:
            return None
        entries = [
            Entry(height, width, place, (damage[0], damage[1]) if damage else None)
            for height, width, place, damage in index["samples"]
        ]
    except (SegkdError, KeyError, TypeError, ValueError):
        return None
    pixels = sum(entry.height * entry.width for entry in entries)
    for name, bytes_per_pixel in pixel_files(with_masks):
        path = final / name
        if not path.is_file() or path.stat().st_size != pixels * bytes_per_pixel:
            return None
    return entries


def fill(
    source: Dataset,
    final: Path,
    name: str,
    stamp: str,
    with_masks: bool,
    skip_damaged: bool,
    on_image: Callable[[], object],
) -> list[Entry]:
    """Decode everything into a temporary folder, which then takes its place."""
    with unfinished(final, folder=True) as temporary:
        entries: list[Entry] = []
        place = 0

        # Pixels one after another, image by image.
        with (temporary / IMAGES).open("wb") as images, (temporary / MASKS).open("wb") as masks:
            for sample in _decoded(source, with_masks, skip_damaged):
                if isinstance(sample, Problem):
                    entries.append(Entry(0, 0, place, (str(sample.path), sample.what)))
                else:
                    height, width = sample.image.shape[:2]
                    images.write(np.ascontiguousarray(sample.image).data)
                    if with_masks:
                        masks.write(np.ascontiguousarray(sample.mask).data)
                    entries.append(Entry(height, width, place))
                    place += height * width
                on_image()
            _flush(images)
            _flush(masks)

        # The index last, then the name.
        if not with_masks:
            (temporary / MASKS).unlink()
        rows = [[entry.height, entry.width, entry.place, entry.damage] for entry in entries]
        write_json(temporary / INDEX, {"schema": SCHEMA, "name": name, "stamp": stamp, "samples": rows})
        replace_folder(temporary, final)
    return entries


def _decoded(source: Dataset, with_masks: bool, skip_damaged: bool) -> Iterator[Sample | Problem]:
    """All samples in order, decoded by several threads; for a damaged one, what is wrong with it."""

    def decode(index: int) -> Sample | Problem:
        try:
            if with_masks:
                return source.read(index)
            return Sample(source.read_image(index), np.empty((0, 0), np.uint8), source.ids[index])
        except DamagedFileError as error:
            if not skip_damaged:
                raise
            return error.problem

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for first in range(0, len(source), _CHUNK):
            yield from pool.map(decode, range(first, min(first + _CHUNK, len(source))))


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
