"""Why a file no longer has its hash, as far as its bytes tell, and what brings it back."""

from __future__ import annotations

import hashlib
from pathlib import Path

from segkd.files.small_files import is_lfs_pointer, open_regular

# What ends a description that says what to do.
COMPLETE_ADVICE = ("copy it again", "`git lfs pull`", "(binary)")
# Larger files are not searched for converted line ends.
_MOST_BYTES = 1 << 28
_POINTER_BYTES = 100


def describe_other_kind(path: Path) -> str | None:
    """What lies in the place of a binary file: nothing, or a Git LFS pointer; and what to do. None for anything else.

    Raises:
        SegkdError: if it cannot be read.
    """
    with open_regular(path) as file:
        start = file.read(_POINTER_BYTES)
    if is_lfs_pointer(start):
        return "is a Git LFS pointer, not the file itself: run `git lfs pull`"
    return None if start else "is empty: copy it again"


def describe_damage(path: Path, sha256: str, bytes_: int | None = None) -> str:
    """What happened to a file, and what to do; for the end of a message that names it.

    Args:
        path: the file.
        sha256: the hash that it should have, and has not.
        bytes_: the size that it should have; None if nothing says it.

    Raises:
        SegkdError: if it cannot be read.
    """
    if (other := describe_other_kind(path)) is not None:
        return other
    size = path.stat().st_size
    with open_regular(path) as file:
        data = file.read(_MOST_BYTES if size <= _MOST_BYTES else 0)
    if b"\r\n" in data and hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest() == sha256:
        return "had its line ends converted to CRLF, as Git or FTP do with text: copy it again as it is (binary)"
    if bytes_ is not None and size < bytes_:
        return f"has changed: it is cut short ({size} of {bytes_} bytes): copy it again"
    return "has changed"
