"""Finding everything that is wrong with a data set before a training finds it piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from segkd.data.base import DataFileError, Dataset, Problem, dataset_class, open_dataset, parse_spec
from segkd.errors import SegkdError


def open_splits(spec: str, split: str) -> tuple[dict[str, Dataset], list[Problem]]:
    """Open a data set's splits, whatever files lack their partner.

    Args:
        spec: ``NAME:PATH[,option=value...]``; its own ``split=`` wins.
        split: a split, or ``all`` for every split that has labels.

    Returns:
        The splits by name (plain frames have one, ``all``), and the splits that cannot be opened.

    Raises:
        SegkdError: if none can be opened.
    """
    reader, path, options = parse_spec(spec)
    splits = dataset_class(reader).SPLITS
    wanted = [options["split"]] if "split" in options else splits if "all" in (split, *splits) else [split]
    opened: dict[str, Dataset] = {}
    errors: list[SegkdError] = []
    for name in wanted:
        try:
            dataset = open_dataset(spec, name, strict=False)
        except SegkdError as error:
            errors.append(error)
            continue
        opened[name] = dataset
    if not opened:
        raise errors[0]
    empty = [name for name, dataset in opened.items() if not len(dataset)]
    problems = [Problem(path, str(error)) for error in errors]
    return opened, problems + [Problem(path, f"split {name} has no image with a mask") for name in empty]


def unexpected_counts(splits: Mapping[str, Dataset]) -> list[str]:
    """Splits of another size than the published ones: a part is fine to work with, but its scores do not compare."""
    return [
        f"split {name} has {len(dataset)} images, the published one {dataset.expected_count}"
        for name, dataset in splits.items()
        if dataset.expected_count is not None and len(dataset) != dataset.expected_count
    ]


def check_dataset(dataset: Dataset, on_image: Callable[[], object] = lambda: None) -> list[Problem]:
    """Read every file of a data set.

    Args:
        dataset: the data set; opened with ``strict=False`` it also names files without a partner.
        on_image: called after every image.

    Returns:
        What is wrong: files without a partner, two files of one name, unreadable or cut-off files, undeclared mask
        values, masks of another size than their image; in reading order.
    """
    problems = list(dataset.problems)
    # Decoding runs outside Python's lock.
    with ThreadPoolExecutor() as pool:
        for found in pool.map(lambda index: _check_image(dataset, index), range(len(dataset))):
            problems += found
            on_image()
    return problems


def shared_names(splits: Mapping[str, Dataset]) -> list[Problem]:
    """Images that more than one split has: training on them makes validation worthless."""
    first: dict[str, str] = {}
    problems: list[Problem] = []
    for split, dataset in splits.items():
        for index, name in enumerate(dataset.ids):
            if name in first:
                path: Path = dataset.image_path(index)
                problems.append(Problem(path, f"split {first[name]} has an image named {name} too; remove one"))
            else:
                first[name] = split
    return problems


def _check_image(dataset: Dataset, index: int) -> list[Problem]:
    """What is wrong with one image and its mask; both are named if neither can be read."""
    try:
        if dataset.has_masks:
            dataset.read(index)
        else:
            dataset.read_image(index)
        return []
    except DataFileError as error:
        problem = error.problem
    if not dataset.has_masks:
        return [problem]
    return _read_problems(dataset, index) or [problem]


def _read_problems(dataset: Dataset, index: int) -> list[Problem]:
    problems: list[Problem] = []
    for read in (dataset.read_image, dataset.read_mask):
        try:
            read(index)
        except DataFileError as error:
            problems.append(error.problem)
    return problems
