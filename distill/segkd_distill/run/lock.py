"""One process at a time owns a run folder, and takes away what dead ones left in it."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segkd.errors import SegkdError

LOCK = ".lock"
_LEFTOVER = re.compile(r"\..+\.([0-9a-f]{8}|[0-9]{1,3})\.tmp")
# Record locks do not keep other threads of this process out.
_own: set[Path] = set()


@contextmanager
def owned(run: Path) -> Iterator[None]:
    """Own a run folder, which is made if need be; one that is still empty at the end is taken away again.

    The lock is the kernel's and belongs to this process alone: it goes with the process however that dies, and loading
    processes do not inherit it.

    Raises:
        SegkdError: if another process owns the folder, or nothing can be written there.
    """
    made = next((folder for folder in reversed((run, *run.parents)) if not folder.exists()), None)
    folder = run.absolute()
    try:
        run.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(folder)
    except OSError as error:
        raise SegkdError(
            f"{run} cannot be written ({error.strerror}): name a folder on a writable disk with --out"
        ) from error

    _own.add(folder)
    try:
        _remove_leftovers(folder)
        yield
    finally:
        # Removed while it is still held, so that nobody can take a lock on the file in between.
        (folder / LOCK).unlink(missing_ok=True)
        os.close(descriptor)
        _own.discard(folder)
        if made is not None:
            _remove_empty(run, made)


def _locked(folder: Path) -> int:
    """An open descriptor that holds the lock."""
    path = folder / LOCK
    if folder in _own:
        raise _in_use(folder, str(os.getpid()))
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise _in_use(folder, owner) from None
        except OSError:
            os.close(descriptor)
            raise

        # The owner before may have removed the file between our opening and our locking it.
        try:
            same = os.path.samestat(os.fstat(descriptor), os.stat(path))
        except FileNotFoundError:
            same = False
        if same:
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            return descriptor
        os.close(descriptor)


def _in_use(folder: Path, owner: str) -> SegkdError:
    return SegkdError(
        f"{folder} is in use by process {owner or '(just starting)'}: wait for it, stop it, or name another folder "
        "with --out"
    )


def _remove_leftovers(folder: Path) -> None:
    """Half-written files of processes that were killed; nobody else writes here while the folder is owned."""
    for path in folder.iterdir():
        if _LEFTOVER.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            path.unlink()


def _remove_empty(folder: Path, last: Path) -> None:
    """Remove a folder and those around it, up to ``last``, as far as they are empty."""
    while folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        if folder == last:
            return
        folder = folder.parent
