"""Images and masks of one name belong together."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from segkd.data.base import Problem


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
    """All files below a folder with one of these suffixes (any case), sorted; hidden files and folders are left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def relative_name(path: Path, folder: Path) -> str:
    """A file's name below a folder, without its suffix, with ``/`` between its parts."""
    return path.relative_to(folder).with_suffix("").as_posix()


def by_name(files: Iterable[tuple[str, Path]]) -> tuple[dict[str, Path], list[Problem]]:
    """Files by name; a second file of one name is a problem."""
    named: dict[str, Path] = {}
    problems: list[Problem] = []
    for name, path in files:
        if name in named:
            problems.append(Problem(path, f"has the same name as {named[name]}; rename or remove one"))
        else:
            named[name] = path
    return named, problems


def pair_by_name(images: Iterable[tuple[str, Path]], masks: Iterable[tuple[str, Path]], mask_form: str) -> Pairs:
    """Pair images with masks.

    Args:
        images: (name, file) of every image.
        masks: (name, file) of every mask.
        mask_form: where the mask of an image is expected, with ``{}`` for the name; for the message.
    """
    image_files, problems = by_name(images)
    mask_files, mask_problems = by_name(masks)
    problems += mask_problems
    for name in sorted(image_files.keys() - mask_files.keys()):
        expected = mask_form.replace("{}", name)
        problems.append(Problem(image_files[name], f"image without a mask; expected {expected}"))
    for name in sorted(mask_files.keys() - image_files.keys()):
        problems.append(Problem(mask_files[name], f"mask without an image named {name}; remove it or add the image"))
    ids = sorted(image_files.keys() & mask_files.keys())
    return Pairs(ids, [image_files[name] for name in ids], [mask_files[name] for name in ids], problems)
