"""The files below a folder, through links and without going in circles."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Walk(NamedTuple):
    """What lies below a folder; hidden files and folders (their names begin with a dot) are left out.

    Attributes:
        files: sorted.
        dangling: links whose target is not there.
        repeated: links to a folder that is read already, or that leads back up; they are not entered.
    """

    files: list[Path]
    dangling: list[Path]
    repeated: list[Path]


def walk(folder: Path) -> Walk:
    """Find all files below a folder, those behind linked folders too.

    Real folders come first and each is read once, whatever links lead to it, so that no picture counts twice.
    """
    found = Walk([], [], [])
    seen: set[str] = set()
    links = _read_tree(folder, seen, found)
    while links:
        link = links.pop(0)
        target = os.path.realpath(link)
        leads_up = os.path.realpath(folder).startswith(target.rstrip("/") + "/")
        if target in seen or leads_up:
            found.repeated.append(link)
        else:
            links += _read_tree(link, seen, found)
    for part in found:
        part.sort()
    return found


def _read_tree(top: Path, seen: set[str], found: Walk) -> list[Path]:
    """Note the files of a tree of real folders; gives its linked folders, in the order of their names."""
    links: list[Path] = []
    for root, folders, files in os.walk(top):
        here = Path(root)
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)

        visible = sorted(name for name in folders if not name.startswith("."))
        links += [here / name for name in visible if (here / name).is_symlink()]
        folders[:] = [name for name in visible if not (here / name).is_symlink()]

        for name in files:
            path = here / name
            if name.startswith("."):
                continue
            if path.is_file():
                found.files.append(path)
            elif path.is_symlink():
                found.dangling.append(path)
    return links
