"""Reading the small files of /sys and /proc below a root; what cannot be read is None."""

from __future__ import annotations

import os
import re
from pathlib import Path

MAX_BYTES = 4096


def under(root: Path, path: str) -> Path:
    """An absolute path of the system, below ``root``."""
    return root / path.lstrip("/")


def read_text(path: Path) -> str | None:
    """The text of a small file without zeros and white space around it; None if it is not readable or empty.

    One unbuffered read: a sensor that is off answers EAGAIN, on which Python's buffered reader raises TypeError.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(file, MAX_BYTES).decode("utf-8", errors="replace").strip("\0 \t\r\n") or None
    except OSError:
        return None
    finally:
        os.close(file)


def read_long_text(path: Path) -> str | None:
    """The text of a file of any length; None if it is not readable."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def read_number(path: Path) -> float | None:
    """The first word of a file as a number."""
    words = (read_text(path) or "").split()
    try:
        return float(words[0]) if words else None
    except ValueError:
        return None


def matching(root: Path, pattern: str) -> list[Path]:
    """Paths below ``root`` that match a pattern of absolute paths; numbers in names sort by their value."""
    try:
        found = list(root.glob(pattern.lstrip("/")))
    except OSError:
        return []
    return sorted(found, key=natural_order)


def natural_order(path: Path) -> list[tuple[int, str]]:
    """A sort key in which ``policy10`` comes after ``policy4``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]
