"""How a command ends: every exception becomes one line and an exit code.

0    done                        2    the user must change something: options, files, a full disk, memory
1    a gate failed, nothing else 3    a library, runtime, device or process is gone or missing
70   a bug of segkd              128 + N  stopped by signal N (130 Ctrl-C, 143 SIGTERM, 141 nobody reads stdout)
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import NamedTuple

import click

from segkd.ending.stopping import Stopped
from segkd.errors import SegkdError
from segkd.files.small_files import one_line

BUG = 70
# A terminal's screen; more than that hides the line before.
MOST_CHARACTERS = 1500

_ROOMS = ("segkd", "segkd_distill", "segkd_export", "segkd_deploy")
_DISK_ADVICE = {
    errno.ENOSPC: "free some space, or name a place on another disk",
    errno.EDQUOT: "your quota is used up: remove files, or name a place on another disk",
    errno.EROFS: "name a place that can be written",
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.ENOTDIR: "a part of the path is a file: name a folder",
    errno.EISDIR: "a folder is there: name a file",
    errno.EEXIST: "something is there already: remove it, or name another place",
    errno.ENOTEMPTY: "remove what is in it, or name another place",
    errno.ENOENT: "check the path",
    errno.EMFILE: "raise the limit (`ulimit -n 4096`), or use fewer --workers",
    errno.ENFILE: "the machine has too many files open: end other programs",
    errno.ENAMETOOLONG: "name a shorter path",
    errno.ELOOP: "a link leads to itself: remove it",
    errno.EIO: "the disk or its connection fails: use another one",
    errno.ENOMEM: "memory is used up: a smaller --batch or --imgsz, fewer --workers",
    errno.EAGAIN: "too many processes or threads: use fewer --workers, or raise `ulimit -u`",
}
_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "failed to allocate memory",
    "insufficient memory",
    "enforce fail at alloc",
    "std::bad_alloc",
    "not enough memory",
)
_SHARED_MEMORY_WORDS = ("/dev/shm", "shared memory", "</torch_")
_OPEN_FILES_WORDS = ("too many open files", "received 0 items of ancdata")


class Ending(NamedTuple):
    """What the user is told (None: nothing), and the exit code."""

    line: str | None
    code: int


def ending_of(error: BaseException) -> Ending:
    """The line and the exit code of an exception."""
    if isinstance(error, SegkdError):
        return Ending(str(error), error.exit_code)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        number = error.signal_number if isinstance(error, Stopped) else signal.SIGINT
        return Ending(f"stopped by {signal.Signals(number).name}", 128 + number)
    if isinstance(error, BrokenPipeError):
        return Ending(None, 128 + signal.SIGPIPE)
    if isinstance(error, click.ClickException):
        return Ending(_usage(error), error.exit_code)
    return _of_resources(error) or _of_own_code(error) or _bug(error)


def finish(error: BaseException, debug: bool) -> int:
    """Print the line of an exception on stderr, before it the traceback if it was asked for; gives the exit code."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if type(error).__name__ == "NoArgsIsHelpError" and isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    line, code = ending_of(error)
    if isinstance(error, BrokenPipeError):
        _drop_output()
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed or full as well
        if debug:
            click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        if line is not None:
            click.echo(f"segkd: {one_line(' '.join(line.split()), MOST_CHARACTERS)}", err=True)
    return code


def _usage(error: click.ClickException) -> str:
    """A wrong option or argument, and where the right ones are."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return error.format_message()
    words = error.format_message().strip().removesuffix(".")
    return f"{words}; `{context.command_path} --help` shows how to call it"


def _of_resources(error: BaseException) -> Ending | None:
    """Memory, disk and open files, by the exception's kind or by what torch and OpenCV write into theirs."""
    words = str(error).lower()
    if "dataloader worker" in words and ("killed" in words or "exited" in words):
        return Ending(
            f"a loading process is gone ({_first_line(error)}): memory or /dev/shm may be used up, so use fewer "
            "--workers (or `docker run --shm-size=2g`), then continue with --resume",
            3,
        )

    if any(part in words for part in _SHARED_MEMORY_WORDS):
        return Ending(
            f"shared memory is used up ({_first_line(error)}): use fewer --workers (0 needs none), or give the "
            "container more with `docker run --shm-size=2g`",
            2,
        )

    if any(part in words for part in _OPEN_FILES_WORDS):
        return Ending(f"too many files are open ({_first_line(error)}): {_DISK_ADVICE[errno.EMFILE]}", 2)
    if isinstance(error, OSError) and error.errno is not None and error.errno != errno.ENOMEM:
        return Ending(_of_files(error), 2)

    # Memory last: its words occur in other errors, too.
    if isinstance(error, MemoryError) or any(part in words for part in _MEMORY_WORDS):
        return Ending(
            f"memory is used up ({_first_line(error)}): a smaller --batch or --imgsz, fewer --workers, or end "
            "other programs",
            2,
        )
    if isinstance(error, OSError):
        return Ending(_of_files(error), 2)
    return None


def advice(error: OSError) -> str:
    """What to do about an error of the operating system."""
    return _DISK_ADVICE.get(error.errno or 0, "check the path, the disk and the permissions")


def _of_files(error: OSError) -> str:
    """Path, reason and what to do about an error of the operating system."""
    paths = " -> ".join(one_line(os.fsdecode(p) if isinstance(p, bytes) else p) for p in _paths(error))
    reason = error.strerror or str(error) or type(error).__name__
    return f"{paths or 'a file or device cannot be used'}: {reason}; {advice(error)}"


def _paths(error: OSError) -> list[object]:
    return [path for path in (error.filename, error.filename2) if path is not None and not isinstance(path, int)]


def _of_own_code(error: BaseException) -> Ending | None:
    """An error in a module or file of the user: it keeps the line of that file."""
    place = user_line(error)
    if place is None:
        return None
    return Ending(f"{place}: {_kind_and_words(error)}; correct this line of your own code", 2)


def user_line(error: BaseException) -> str | None:
    """``file:line`` of the deepest place of a traceback that belongs neither to segkd nor to an installed package."""
    if isinstance(error, SyntaxError) and error.filename and _is_users(error.filename, ""):
        return f"{one_line(error.filename)}:{error.lineno}"
    frames = list(traceback.walk_tb(error.__traceback__))
    for frame, line in reversed(frames):
        if _is_users(frame.f_code.co_filename, str(frame.f_globals.get("__name__", ""))):
            return f"{one_line(frame.f_code.co_filename)}:{line}"
    return None


def _is_users(file: str, module: str) -> bool:
    if file.startswith("<") or module.partition(".")[0] in _ROOMS:
        return False
    path = Path(file).absolute()
    if {"site-packages", "dist-packages"} & set(path.parts):
        return False
    return not any(path.is_relative_to(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "scripts"))


def _bug(error: BaseException) -> Ending:
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [(frame, line) for frame, line in frames if str(frame.f_globals.get("__name__", "")).split(".")[0] in _ROOMS]
    place = f" in {Path(own[-1][0].f_code.co_filename).name}:{own[-1][1]}" if own else ""
    return Ending(
        f"{_kind_and_words(error)}{place}: this is a bug of segkd; run again with --debug and report what it shows", BUG
    )


def _kind_and_words(error: BaseException) -> str:
    """The kind of an exception and its first line, as Python's own last line has it."""
    words = _first_line(error)
    return type(error).__name__ if words == type(error).__name__ else f"{type(error).__name__}: {words}"


def _first_line(error: BaseException) -> str:
    try:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    except Exception:
        lines = []  # an exception of someone else whose text cannot be made
    return one_line(lines[0], 300) if lines else type(error).__name__


def _drop_output() -> None:
    """Nobody reads stdout any more; what is still in its buffer must not fail when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
