"""Finding the files of a published data set: folders, names, and the lists of its splits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segkd.data.base import Problem
from segkd.data.formats.decode import IMAGE_SUFFIXES
from segkd.data.layout.pairing import Pairs
from segkd.errors import SegkdError, unknown_name
from segkd.files.small_files import read_text

# The longest list, that of COCO-Stuff, has 2 MB.
LIST_BYTES = 64 << 20
_LISTED_SUFFIXES = (*IMAGE_SUFFIXES, ".mat")


def named_files(folder: Path, *endings: str) -> list[tuple[str, Path]]:
    """(name without its ending, file) of every file directly in a folder that has one of these endings.

    Endings may be written in any case. Hidden files (macOS leaves ``._NAME.png`` in archives) are left out.
    """
    lowered = [ending.lower() for ending in endings]
    # One listing instead of a question per file: the largest sets have 100,000 of them.
    with os.scandir(folder) as entries:
        files = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    found = []
    for file in files:
        ending = next((ending for ending in lowered if file.lower().endswith(ending)), None)
        if ending is not None:
            found.append((file[: -len(ending)], folder / file))
    return found


def has_files(folder: Path, *endings: str) -> bool:
    """Whether a folder exists and directly holds a file with one of these endings."""
    return folder.is_dir() and bool(named_files(folder, *endings))


def read_list(path: Path) -> list[str]:
    """The names in a split's list: the first word of each line, without folders and suffix.

    Windows' line ends, backslashes and byte-order marks do no harm.

    Raises:
        SegkdError: if the file is missing, empty or no text.
    """
    try:
        lines = read_text(path, LIST_BYTES).splitlines()
    except SegkdError as error:
        raise SegkdError(f"{error} (it is the list of this split)") from None
    words = [line.split()[0].replace("\\", "/").rsplit("/", 1)[-1] for line in lines if line.strip()]
    if not words:
        raise SegkdError(f"{path}: an empty list; copy the file again")
    # Only what is a file's suffix: names may have dots of their own.
    return [word.rpartition(".")[0] if word.lower().endswith(_LISTED_SUFFIXES) else word for word in words]


def pair_listed(
    names: Sequence[str],
    source: Path,
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    *,
    image_form: str,
    mask_form: str,
) -> Pairs:
    """The image and mask of every name in a list, sorted by name.

    Args:
        names: the names.
        source: their list, named where it lists a name twice.
        images: name -> file.
        masks: name -> file.
        image_form: where an image is expected, with ``{}`` for the name.
        mask_form: where a mask is expected, with ``{}`` for the name.
    """
    problems: list[Problem] = []
    ids: list[str] = []
    previous = None
    for name in sorted(names):
        if name == previous:
            problems.append(Problem(source, f"lists {name} twice; remove one line"))
            continue
        previous = name
        expected = ((image_form, images), (mask_form, masks))
        missing = [form.replace("{}", name) for form, files in expected if name not in files]
        problems += [Problem(source, f"lists {name}, but there is no {file}") for file in missing]
        if not missing:
            ids.append(name)
    return Pairs(ids, [images[name] for name in ids], [masks[name] for name in ids], problems)


def first_folder(candidates: Iterable[Path]) -> Path | None:
    """The first of some folders that exists."""
    return next((folder for folder in candidates if folder.is_dir()), None)


def find_root(path: Path, below: Iterable[str], inside: str, expected: str) -> Path:
    """The folder of a data set that may also lie in the folder its archive makes.

    Args:
        path: what the user gave.
        below: folders below it to try next, as ``VOCdevkit/VOC2012``.
        inside: a folder that the data set's own folder has.
        expected: what the data set's folder holds, for the error.

    Raises:
        SegkdError: if none of them has the folder.
    """
    roots = [path, *(path / folder for folder in below)]
    found = first_folder(root / inside for root in roots)
    if found is None:
        raise SegkdError(f"no folder {path / inside} (nor in {', '.join(map(str, roots[1:]))}); {expected}")
    return next(root for root in roots if root / inside == found)


def require_folders(*folders: Path, expected: str) -> None:
    """Check that folders exist.

    Raises:
        SegkdError: naming the first that does not, and what is expected.
    """
    for folder in folders:
        if not folder.is_dir():
            raise SegkdError(f"no folder {folder}; {expected}")


def require_choice(reader: str, option: str, value: str, known: Iterable[str]) -> str:
    """The value, if an option may have it.

    Raises:
        SegkdError: with the nearest value that it may have.
    """
    names = list(known)
    if value not in names:
        raise unknown_name(f"value of the {reader} option {option}", value, names)
    return value
