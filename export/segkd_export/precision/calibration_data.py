"""The training frames that int8 is made from: which, that none is a validation frame, and a hash of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkd.data import open_dataset
from segkd.data.base import IGNORE, Dataset, LabelSpace, parse_spec
from segkd.errors import SegkdError
from segkd.files import sha256_file
from segkd.recipe import Recipe
from segkd_export.graph.camera_frame import CameraFrame
from segkd_export.reference import frame_for, pick_indices, truth_for

# Training frames that judge what the others made; never more than a quarter of a data set. Where the run has frames
# without labels they are among them: of frames that it learned with their labels, a network is too sure.
HELD_OUT = 16

Item = tuple[Dataset, int]


class FrameList(Sequence[NDArray[np.uint8]]):
    """Frames as the graph takes them, each read when it is asked for.

    Args:
        items: data set and index of each.
        camera: what the graph takes.
    """

    def __init__(self, items: Sequence[Item], camera: CameraFrame) -> None:
        self._items, self._camera = list(items), camera
        self.ids = [dataset.ids[index] for dataset, index in items]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:  # type: ignore[override]  # no slices are needed
        dataset, position = self._items[index]
        return frame_for(dataset.read_image(position), self._camera)


@dataclass(frozen=True)
class CalibrationData:
    """What int8 is made from and judged by.

    Attributes:
        name: name of the data set.
        fingerprint: of the data set.
        frames: give the ranges.
        held_out: judge them.
        truth: labels of the held-out frames at the size of the graph's, all 255 for one without; None if the data set
            has none of its classes.
        content: the part of the graph's labels that the frame fills (top, left, height, width); None for all.
    """

    name: str
    fingerprint: str
    frames: FrameList
    held_out: FrameList
    truth: list[NDArray[np.uint8]] | None
    content: tuple[int, int, int, int] | None = None


def gather_calibration(
    spec: str | None, count: int, recipe: Recipe, labels: LabelSpace, validation: Sequence[Dataset], camera: CameraFrame
) -> CalibrationData:
    """Choose calibration and held-out frames, spread over the training images.

    Args:
        spec: data set of training images; None for the recipe's ``export.calibration`` or ``data.train``, which its
            ``data.unlabelled`` frames fill up.
        count: calibration frames; all if there are fewer.
        recipe: of the run.
        labels: the network's classes.
        validation: data sets that must have no image in common with it.
        camera: what the graph takes.

    Raises:
        SegkdError: without training images, with too few of them, or if one is a validation image.
    """
    chosen = spec or recipe.export.calibration or recipe.data.train
    if chosen is None:
        raise SegkdError("int8 is calibrated on training images, and the run names none; --calibration NAME:PATH does")

    dataset = _open(chosen)
    pools = [dataset]
    if spec is None and recipe.export.calibration is None and recipe.data.unlabelled is not None:
        pools.append(_open(recipe.data.unlabelled))
    if len(dataset) < 2:
        raise SegkdError(f"calibration data {chosen!r} has {len(dataset)} image; int8 needs one more to be judged by")

    # Held-out frames of every set, then calibration frames of the rest.
    apart = [(dataset, index) for index in _apart(dataset, HELD_OUT)]
    labelled = len(apart)
    for part in pools[1:]:
        apart += [(part, index) for index in _apart(part, HELD_OUT - len(apart))]
    taken = {(id(part), index) for part, index in apart}
    pool = [(part, index) for part in pools for index in range(len(part)) if (id(part), index) not in taken]
    frames = [pool[position] for position in pick_indices(len(pool), count)]
    refuse_overlap(pools, [*frames, *apart], validation)

    truth = None
    if dataset.has_masks and dataset.labels.names == labels.names:
        truth = [truth_for(dataset.read_mask(index), camera) for _, index in apart[:labelled]]
        truth += [np.full_like(truth[0], IGNORE)] * (len(apart) - labelled)

    geometry = camera.geometry()
    return CalibrationData(
        name=parse_spec(chosen)[0],
        fingerprint=dataset.fingerprint(),
        frames=FrameList(frames, camera),
        held_out=FrameList(apart, camera),
        truth=truth,
        content=None if geometry is None else geometry.content_px(),
    )


def _apart(dataset: Dataset, most: int) -> list[int]:
    """Indices of frames to hold out: at least one, unless none is wanted."""
    return pick_indices(len(dataset), min(most, max(1, len(dataset) // 4))) if most > 0 else []


def _open(spec: str) -> Dataset:
    try:
        return open_dataset(spec, split="train")
    except SegkdError as error:
        raise SegkdError(f"calibration: {error}; name training images with --calibration NAME:PATH") from error


def refuse_overlap(pools: Sequence[Dataset], items: Sequence[Item], validation: Sequence[Dataset]) -> None:
    """Stop if a file of the pools is a validation file, or if a chosen one is a copy of one.

    Raises:
        SegkdError: with their number and the first of them.
    """
    validated = {path.resolve() for dataset in validation for path in _paths(dataset)}
    common = [path for dataset in pools for path in _paths(dataset) if path.resolve() in validated]
    if not common:
        common = list(_copies([dataset.image_path(index) for dataset, index in items], validated))
    if common:
        raise SegkdError(
            f"{len(common)} calibration images are validation images, the first is {common[0]}; what is measured on "
            "them would flatter int8: name training images with --calibration NAME:PATH"
        )


def _paths(dataset: Dataset) -> Iterator[Path]:
    return (dataset.image_path(index) for index in range(len(dataset)))


def _copies(paths: Sequence[Path], others: set[Path]) -> Iterator[Path]:
    """Paths whose bytes are those of another file; only files of equal length are hashed."""
    by_size: dict[int, list[Path]] = {}
    for other in others:
        by_size.setdefault(other.stat().st_size, []).append(other)
    for path in paths:
        same = by_size.get(path.stat().st_size, [])
        if same and sha256_file(path) in {sha256_file(other) for other in same}:
            yield path


class FrameHash:
    """A hash of frames and their names, taken while they pass."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def watch(self, frames: FrameList) -> Iterator[NDArray[np.uint8]]:
        """The frames, one by one."""
        for name, frame in zip(frames.ids, frames, strict=True):
            self._digest.update(f"{name}:{frame.shape}\n".encode())
            self._digest.update(frame.tobytes())
            yield frame

    def hexdigest(self) -> str:
        """Of all that has passed."""
        return self._digest.hexdigest()
