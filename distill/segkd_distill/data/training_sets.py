"""The data sets of a run, opened, compared, and read from their cache if the recipe names one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segkd.data.base import Dataset, LabelSpace, open_dataset, parse_spec
from segkd.data.cache import open_cached
from segkd.data.formats.decode import DamagedFileError
from segkd.errors import SegkdError
from segkd.recipe import DataSection
from segkd_distill.data.meaning import require_two_classes, say_what_scores_mean
from segkd_distill.data.memory import in_memory_if_small
from segkd_distill.run.progress import ProgressReport


@dataclass(frozen=True)
class TrainingSets:
    """The data sets of a run.

    Attributes:
        train: labelled images.
        val: labelled images to validate on.
        unlabelled: further images, or None.
        first_image_px: height and width of the first training image that can be read.
        val_image_px: height and width of the first validation image.
        fingerprints: of the data sets, by their key in the recipe.
    """

    train: Dataset
    val: Dataset
    unlabelled: Dataset | None
    first_image_px: tuple[int, int]
    val_image_px: tuple[int, int]
    fingerprints: dict[str, str]


def open_training_sets(data: DataSection, *, workers: int = 0) -> TrainingSets:
    """Open the data sets of a resolved recipe.

    Without a cache, sets that are small stay decoded in memory.

    Args:
        data: with ``train`` and ``val``.
        workers: loading processes, which share the memory for decoded samples.

    Raises:
        SegkdError: if a set cannot be opened, lacks labels, or the classes of train and val differ; for a cache that
            does not fit on its disk; naming the file, if the first images cannot be read or a cache meets a damaged
            file (training files only without ``data.skip_damaged``).
    """
    train, val = open_dataset(str(data.train), split="train"), open_dataset(str(data.val), split="val")
    for key, part in (("data.train", train), ("data.val", val)):
        if not part.has_masks:
            raise SegkdError(f"{key} has no labels; only data.unlabelled may be without")
    if train.labels.names != val.labels.names:
        raise SegkdError(
            f"data.train has {train.labels.num_classes} classes ({_some(train.labels)}), data.val "
            f"{val.labels.num_classes} ({_some(val.labels)}): they must be the same"
        )

    if train.labels.num_classes == 1:
        raise SegkdError(
            f"data.train has one class, {train.labels.names[0]}: there is nothing to learn, every score would be 100; "
            "declare the rest as a class"
        )

    unlabelled = open_dataset(data.unlabelled, split="train") if data.unlabelled is not None else None
    named = {"train": train, "val": val, "unlabelled": unlabelled}
    if data.cache is not None:
        train = _cached(data, "train", train)
        val = _cached(data, "val", val)
        unlabelled = _cached(data, "unlabelled", unlabelled) if unlabelled is not None else None

    # One image of each is read, so that what is wrong with its files stops the run here.
    first = _first_image(train, data.skip_damaged)
    if unlabelled is not None:
        _first_image(unlabelled, data.skip_damaged, with_mask=False)
    height, width = val.read(0).image.shape[:2]
    if data.cache is None:
        train, val = in_memory_if_small(train, processes=workers, image_px=first), in_memory_if_small(val)
        if unlabelled is not None:
            unlabelled = in_memory_if_small(unlabelled, processes=workers, image_px=first)
    require_two_classes(train, data.skip_damaged)
    say_what_scores_mean(val, str(data.val), train)
    fingerprints = {key: part.fingerprint() for key, part in named.items() if part is not None}
    return TrainingSets(train, val, unlabelled, first, (height, width), fingerprints)


def _cached(data: DataSection, key: str, source: Dataset) -> Dataset:
    spec = str(getattr(data, key))
    _, root, _ = parse_spec(spec)
    with ProgressReport("cache", len(source)) as report:
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            report.advance(done)

        return open_cached(
            source,
            Path(str(data.cache)),
            f"{spec} ({'val' if key == 'val' else 'train'})",
            root=root,
            with_masks=key != "unlabelled",
            skip_damaged=data.skip_damaged and key != "val",
            on_image=advance,
        )


def _first_image(dataset: Dataset, skip_damaged: bool, *, with_mask: bool = True) -> tuple[int, int]:
    """Height and width of the first image that can be read."""
    for index in range(len(dataset)):
        try:
            image = dataset.read(index).image if with_mask else dataset.read_image(index)
            return image.shape[0], image.shape[1]
        except DamagedFileError as error:
            if not skip_damaged:
                raise
            last = error
    raise SegkdError(f"none of the {len(dataset)} training images can be read; the last one: {last}")


def _some(labels: LabelSpace) -> str:
    return ", ".join(labels.names[:3]) + (", ..." if labels.num_classes > 3 else "")
