"""What went wrong in code that a user wrote: one line that names the line of their file."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

from segkd.errors import SegkdError

PACKAGES = ("segkd", "segkd_distill", "segkd_export", "segkd_deploy")
_LONGEST = 300


def users_error(called: str, error: BaseException, advice: str = "") -> SegkdError:
    """The error of a user's code as one line: what was called, where it failed, the exception and what to do.

    Args:
        called: what the user named, as ``torch:nets:student``.
        error: what its code raised.
        advice: what to do; empty where the place says it all.
    """
    if isinstance(error, SegkdError):
        return error
    place = users_line(error)
    said = f"{type(error).__name__}: {first_line(error)}" if str(error).strip() else type(error).__name__
    return SegkdError(": ".join(part for part in (called, place, said) if part) + (f"; {advice}" if advice else ""))


def users_line(error: BaseException) -> str | None:
    """``file:line`` of the innermost place of a traceback that is neither ours nor a library's; None if there is none.

    A file that does not parse is such a place. The causes of the exception are looked at from the first one on.
    """
    for part in reversed(list(causes(error))):
        if isinstance(part, SyntaxError) and part.filename and is_users(part.filename):
            return f"{short_path(part.filename)}:{part.lineno}"
        for frame in reversed(traceback.extract_tb(part.__traceback__)):
            if is_users(frame.filename):
                return f"{short_path(frame.filename)}:{frame.lineno}"
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that it came from, the last one raised first."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def is_users(file: str) -> bool:
    """Whether a source file is neither Python's, nor an installed library's, nor segkd's."""
    if file.startswith("<"):
        return False
    path = os.path.realpath(file)
    return not any(path.startswith(root + os.sep) for root in _roots())


def short_path(file: str) -> str:
    """A path from the current folder on, where it lies inside."""
    path = Path(os.path.realpath(file))
    here = Path.cwd().resolve()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def first_line(error: BaseException) -> str:
    """The first line with text of what an exception says, of bounded length."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _roots() -> set[str]:
    """Folders of Python, of installed libraries, and of segkd."""
    kinds = sysconfig.get_paths()
    roots = {kinds[name] for name in ("stdlib", "platstdlib", "purelib", "platlib") if name in kinds}
    roots |= {entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))}
    for name in PACKAGES:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file:
            roots.add(os.path.dirname(file))
    return {os.path.realpath(root) for root in roots if root}
