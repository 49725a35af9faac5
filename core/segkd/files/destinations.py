"""Places that a command will write to, tried before its work starts and not after hours of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from segkd.errors import SegkdError
from segkd.files.small_files import one_line

# More than a file system keeps for root alone, and what a full one refuses.
_TRIED_BYTES = 4096


def require_writable_folder(path: Path, option: str = "--out") -> None:
    """Try whether files can be written into a folder; it and those above it need not be there yet.

    Args:
        path: the folder.
        option: what names another one.

    Raises:
        SegkdError: naming the folder and why nothing can be written there.
    """
    try:
        if _exists(path) and not path.is_dir():
            raise SegkdError(f"{one_line(path)}: expected a folder, found a file; name another with {option}")
        _try(path, path, option)
    except (OSError, ValueError) as error:
        raise _refused(path, error, option) from error


def require_writable_file(path: Path, option: str = "--out") -> None:
    """Try whether a file can be written; it may be there, and its folder need not.

    Args:
        path: the file.
        option: what names another one.

    Raises:
        SegkdError: naming the file and why it cannot be written.
    """
    try:
        if _exists(path) and path.is_dir():
            raise SegkdError(f"{one_line(path)}: expected a file, found a folder; name a file in it with {option}")
        if path.is_symlink() and not path.exists():
            raise SegkdError(f"{one_line(path)}: a link that leads nowhere; remove it, or name another with {option}")
        _try(path.parent, path, option)
    except (OSError, ValueError) as error:
        raise _refused(path, error, option) from error


def _try(folder: Path, named: Path, option: str) -> None:
    """Write a small file into the nearest folder that is there, and remove it."""
    place = folder
    while not _exists(place):
        if place.is_symlink():
            raise SegkdError(
                f"{one_line(named)}: {one_line(place)} is a link that leads nowhere; remove it, or name another with "
                f"{option}"
            )
        place = place.parent
    if not place.is_dir():
        raise SegkdError(
            f"{one_line(named)}: {one_line(place)} is a file and no folder; name another place with {option}"
        )

    descriptor, name = tempfile.mkstemp(prefix=".segkd-", suffix=".tmp", dir=place)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"\0" * _TRIED_BYTES)
            file.flush()
            os.fsync(file.fileno())
    finally:
        os.unlink(name)


def _exists(path: Path) -> bool:
    """Whether something is there; unlike ``Path.exists`` it raises for names that no file can have."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _refused(path: Path, error: OSError | ValueError, option: str) -> SegkdError:
    reason = error.strerror if isinstance(error, OSError) else error
    return SegkdError(f"{one_line(path)}: cannot be written ({reason}); name another place with {option}")
