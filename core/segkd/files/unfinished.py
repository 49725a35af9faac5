"""Files and folders that are written beside their place under a hidden name, and what killed processes left of them.

The hidden name is ``.NAME.0.tmp``. Its writer holds the kernel's lock on it, which goes with the process however that
dies: a name that is there and not locked is of a dead one and is used again, so that nothing piles up. Process numbers
would not do, as they come again in containers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MOST_WRITERS = 1000
# What file systems without locks answer, and what a name of another user's does.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EACCES, errno.EPERM, errno.ELOOP)


@contextmanager
def unfinished(final: Path, *, folder: bool = False, ending: str = "") -> Iterator[Path]:
    """A new, empty file or folder beside its place; whoever fills it renames it, otherwise it is removed.

    Args:
        final: the place; the folders above it are made if need be.
        folder: whether it is a folder.
        ending: what the hidden name must end in, for libraries that choose a format by it.

    Raises:
        OSError: if nothing can be written there.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    path, descriptor = _claim(final, folder, ending)
    try:
        yield path
    finally:
        _remove(path, descriptor)
        os.close(descriptor)


def replace_folder(complete: Path, final: Path) -> None:
    """Give a complete folder its name; an earlier one steps aside, and goes only when the new one is there.

    Raises:
        OSError: if it cannot be renamed; the earlier one has its name then.
    """
    if not final.exists():
        os.replace(complete, final)
        return
    with unfinished(final, folder=True) as aside:
        os.replace(final, aside)
        try:
            os.replace(complete, final)
        except BaseException:
            os.replace(aside, final)
            raise
        shutil.rmtree(aside)


def _claim(final: Path, folder: bool, ending: str) -> tuple[Path, int]:
    """The first hidden name that no living process holds, emptied, and a descriptor that holds its lock."""
    for number in range(_MOST_WRITERS):
        path = final.with_name(f".{final.name}.{number}.tmp{ending}")
        try:
            descriptor = _locked(path, folder)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                break
            if not isinstance(error, (BlockingIOError, FileExistsError, NotADirectoryError, IsADirectoryError)):
                raise
        else:
            return path, descriptor

    # Without locks nobody can tell what is left over: a name that no other process takes.
    path = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}.tmp{ending}")
    return path, _opened(path, folder)


def _locked(path: Path, folder: bool) -> int:
    while True:
        descriptor = _opened(path, folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its writer may have renamed it between our opening and our locking it.
            if os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
                _empty(path, descriptor, folder)
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _opened(path: Path, folder: bool) -> int:
    common = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    if folder:
        path.mkdir(exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | common)
    return os.open(path, os.O_RDWR | os.O_CREAT | common, 0o666)


def _empty(path: Path, descriptor: int, folder: bool) -> None:
    if not folder:
        os.truncate(descriptor, 0)
        return
    for inner in path.iterdir():
        if inner.is_dir() and not inner.is_symlink():
            shutil.rmtree(inner)
        else:
            inner.unlink()


def _remove(path: Path, descriptor: int) -> None:
    """Remove what was not renamed; nothing that another writer has put under the name since."""
    try:
        if not os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
            return
    except FileNotFoundError:
        return
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()
