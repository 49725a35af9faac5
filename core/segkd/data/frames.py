"""A part of a data set: the option ``frames``, a slice of the sorted images or a list of names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Dataset
from segkd.errors import SegkdError
from segkd.files.small_files import read_text

# Names of some hundred thousand images.
_LIST_BYTES = 64 << 20


class FrameRange(Dataset):
    """Some images of another data set, in its order.

    Args:
        source: the data set.
        indices: of the images, ascending.
    """

    def __init__(self, source: Dataset, indices: Sequence[int]) -> None:
        self._source, self._indices = source, indices
        self.ids = [source.ids[i] for i in indices]
        self.has_masks = source.has_masks
        self.problems, self.form, self.file_values = source.problems, source.form, source.file_values
        self.remarks = source.remarks
        self._labels = source._labels

    def image_path(self, index: int) -> Path:
        """The file of an image."""
        return self._source.image_path(self._indices[index])

    def mask_path(self, index: int) -> Path | None:
        """The file of a mask."""
        return self._source.mask_path(self._indices[index])

    def read_image(self, index: int) -> NDArray[np.uint8]:
        """One image."""
        return self._source.read_image(self._indices[index])

    def read_mask(self, index: int) -> NDArray[np.uint8]:
        """One mask."""
        return self._source.read_mask(self._indices[index])


def choose_frames(dataset: Dataset, frames: str, root: Path) -> FrameRange:
    """The images that an option ``frames`` picks.

    Args:
        dataset: the whole split.
        frames: ``START:STOP`` or ``START:STOP:STEP``, a Python slice of the sorted images, or ``@LIST``: a file of
            names, one per line, with or without the images' suffix; in any order.
        root: the data set's folder, where a list is looked for that is not in the working folder.

    Raises:
        SegkdError: if it is neither, or the list is missing or names what is not there.
    """
    if frames.startswith("@"):
        return FrameRange(dataset, _listed(dataset, _list_file(frames[1:], root)))
    parts = frames.split(":")
    try:
        if len(parts) not in (2, 3):
            raise ValueError
        start, stop, step = [int(part) if part else None for part in (*parts, "")[:3]]
    except ValueError:
        raise SegkdError(
            f"frames={frames} is no range; write frames=START:STOP, as in :30, frames=START:STOP:STEP, as in ::10 "
            "(every tenth), or frames=@LIST, a file of names"
        ) from None
    if step is not None and step < 1:
        raise SegkdError(f"frames={frames}: the step is {step}, expected 1 or more")
    return FrameRange(dataset, range(len(dataset))[start:stop:step])


def _list_file(name: str, root: Path) -> Path:
    """The list of names: in the working folder, as all paths on the command line, or in the data set's."""
    given = Path(name).expanduser()
    candidates = [given] if given.is_absolute() else [given, root / given]
    for path in candidates:
        if path.is_file():
            return path
    raise SegkdError(f"no list {' or '.join(str(path) for path in candidates)}; frames=@LIST names a file of names")


def _listed(dataset: Dataset, path: Path) -> list[int]:
    """The indices of the images that a list names."""
    lines = [line.strip() for line in read_text(path, _LIST_BYTES).splitlines()]
    places = {name: index for index, name in enumerate(dataset.ids)}
    files = {f"{name}{dataset.image_path(index).suffix}": index for name, index in places.items()}
    names = [line.replace("\\", "/") for line in lines if line and not line.startswith("#")]
    missing = [name for name in names if name not in places and name not in files]
    if missing or not names:
        what = f"names {missing[0]!r}" if missing else "names nothing"
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        known = f", as in {dataset.ids[0]}" if dataset.ids else ""
        raise SegkdError(f"{path} {what}{others}, which this split does not have; its names are below images{known}")
    chosen = [places.get(name, files.get(name, -1)) for name in names]
    if len(set(chosen)) < len(chosen):
        twice = next(name for name in names if chosen.count(places.get(name, files.get(name, -1))) > 1)
        raise SegkdError(f"{path} names {twice!r} twice; remove one line")
    return sorted(chosen)
