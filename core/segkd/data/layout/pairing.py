"""Images and masks of one name belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from segkd.data.base import Problem
from segkd.data.layout.walk import Walk, walk

# What systems leave in folders of pictures; of no interest to anybody.
_SYSTEM = ("thumbs.db", "desktop.ini")


class Pairs(NamedTuple):
    """The images that have a mask, sorted by name, and what has no partner.

    Attributes:
        ids: names.
        images: one file per name.
        masks: one file per name.
        problems: files without a partner, and second files of one name.
    """

    ids: list[str]
    images: list[Path]
    masks: list[Path]
    problems: list[Problem]


def visible_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """All files below a folder with one of these suffixes (any case), sorted; links are followed."""
    return [path for path in walk(folder).files if path.suffix.lower() in suffixes]


def left_out(found: Walk, folder: Path, suffixes: tuple[str, ...], what: str) -> list[str]:
    """What a folder holds and a reader leaves out, in one line per kind.

    Args:
        found: what lies below the folder.
        folder: the folder, for the words.
        suffixes: of the files that are read.
        what: what is read there, as in ``pictures``.
    """
    remarks = []
    others = [path for path in found.files if path.suffix.lower() not in suffixes and path.name.lower() not in _SYSTEM]
    if others:
        kinds = Counter(path.suffix.lower() or "no suffix" for path in others)
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        remarks.append(
            f"{folder}: left out {count_of(len(others), 'file')} of other kinds ({counts}; for example {others[0]}): "
            f"{what} are {', '.join(suffixes)}"
        )
    if found.repeated:
        links = count_of(len(found.repeated), "link")
        remarks.append(
            f"{folder}: did not enter {links} to folders that are read already or lead back up, as {found.repeated[0]}"
        )
    return remarks


def count_of(count: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def relative_name(path: Path, folder: Path) -> str:
    """A file's name below a folder, without its suffix, with ``/`` between its parts."""
    return path.relative_to(folder).with_suffix("").as_posix()


def by_name(files: Iterable[tuple[str, Path]]) -> tuple[dict[str, Path], list[Problem]]:
    """Files by name; a second file of one name is a problem, and a name that no list or report can hold."""
    named: dict[str, Path] = {}
    problems: list[Problem] = []
    for name, path in files:
        if not _is_text(name):
            problems.append(Problem(path, "has a name that is no UTF-8 text; rename the file"))
        elif name in named:
            problems.append(Problem(path, f"has the same name as {named[name]}; rename or remove one"))
        else:
            named[name] = path
    return named, problems


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def pair_by_name(
    images: Iterable[tuple[str, Path]],
    masks: Iterable[tuple[str, Path]],
    mask_form: str,
    others: Mapping[str, Path] | None = None,
) -> Pairs:
    """Pair images with masks.

    Args:
        images: (name, file) of every image.
        masks: (name, file) of every mask.
        mask_form: where the mask of an image is expected, with ``{}`` for the name; for the message.
        others: files among the masks that are of a kind that is not read, by name; for the message.
    """
    others = others or {}
    image_files, problems = by_name(images)
    mask_files, mask_problems = by_name(masks)
    problems += mask_problems
    for name in sorted(image_files.keys() - mask_files.keys()):
        expected = mask_form.replace("{}", name)
        there = f"; {others[name]} is there, but {_why_not(others[name])}" if name in others else ""
        problems.append(Problem(image_files[name], f"image without a mask; expected {expected}{there}"))
    for name in sorted(mask_files.keys() - image_files.keys()):
        problems.append(Problem(mask_files[name], f"mask without an image named {name}; remove it or add the image"))
    ids = sorted(image_files.keys() & mask_files.keys())
    return Pairs(ids, [image_files[name] for name in ids], [mask_files[name] for name in ids], problems)


def _why_not(path: Path) -> str:
    """Why a file of the right name cannot be a mask."""
    if path.suffix.lower() in (".jpg", ".jpeg", ".webp"):
        return "JPEG and WebP change class numbers: save masks as PNG"
    return "masks are PNG, BMP, TIFF or GIF files: save it as PNG"
