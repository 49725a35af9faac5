"""Finding everything that is wrong with a data set before a training finds it piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from segkd.data.base import Dataset, Problem, dataset_class, open_dataset, parse_spec
from segkd.data.checks.facts import Facts, facts_of
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


def examine(dataset: Dataset, on_image: Callable[[], object] = lambda: None) -> tuple[list[Problem], list[Facts]]:
    """Read every file of a data set.

    Args:
        dataset: the data set; opened with ``strict=False`` it also names files without a partner.
        on_image: called after every image.

    Returns:
        What is wrong with single files, and what each image is like; both in reading order.
    """
    problems, facts = list(dataset.problems), []
    # Decoding runs outside Python's lock.
    with ThreadPoolExecutor() as pool:
        for found in pool.map(lambda index: facts_of(dataset, index), range(len(dataset))):
            problems += found.problems
            facts.append(found)
            on_image()
    return problems, facts


def check_dataset(dataset: Dataset, on_image: Callable[[], object] = lambda: None) -> list[Problem]:
    """What is wrong with the files of a data set, in reading order.

    Files without a partner, two files of one name, unreadable or cut-off files, undeclared mask values, masks of
    another size than their image. :func:`segkd.data.checks.findings.find` says what the set as a whole means.
    """
    return examine(dataset, on_image)[0]
