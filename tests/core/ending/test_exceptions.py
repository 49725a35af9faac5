"""Every kind of exception through the real front door: one line, the right exit code, never that of a failed gate."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from segkd.cli import main
from segkd.ending.exceptions import ending_of
from segkd.ending.stopping import Stopped
from segkd.errors import BackendMissing, GateFailed, SegkdError


def disk(number: int) -> OSError:
    return OSError(number, os.strerror(number), "/somewhere/file")


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


KINDS: list[tuple[BaseException, int, str]] = [
    (SegkdError("change it"), 2, "segkd: change it"),
    (GateFailed("too slow"), 1, "too slow"),
    (BackendMissing("no CUDA"), 3, "no CUDA"),
    (disk(errno.ENOSPC), 2, "/somewhere/file: No space left on device; free some space"),
    (disk(errno.EROFS), 2, "/somewhere/file: Read-only file system; name a place"),
    (disk(errno.EACCES), 2, "/somewhere/file: Permission denied; change its permissions"),
    (disk(errno.ENOTDIR), 2, "/somewhere/file: Not a directory; a part of the path is a file"),
    (disk(errno.EISDIR), 2, "a folder is there"),
    (disk(errno.EMFILE), 2, "ulimit -n"),
    (disk(errno.EDQUOT), 2, "quota"),
    (disk(errno.EIO), 2, "Input/output error"),
    (disk(errno.ENOMEM), 2, "memory is used up"),
    (OSError("without a number"), 2, "without a number"),
    (MemoryError(), 2, "memory is used up (MemoryError): a smaller --batch"),
    (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), 2, "a smaller --batch"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate"), 2, "--batch"),
    (RuntimeError("unable to mmap 8 bytes from file </torch_1_2>: Cannot allocate memory (12)"), 2, "--shm-size"),
    (RuntimeError("Too many open files. Communication with the workers is no longer possible."), 2, "ulimit -n"),
    (KeyboardInterrupt(), 130, "stopped by SIGINT"),
    (Stopped(signal.SIGTERM), 143, "stopped by SIGTERM"),
    (Stopped(signal.SIGHUP), 129, "stopped by SIGHUP"),
    (click.Abort(), 130, "stopped by SIGINT"),
    (click.UsageError("no such option"), 2, "no such option"),
    (ZeroDivisionError("division by zero"), 70, "ZeroDivisionError: division by zero"),
    (RecursionError("too deep"), 70, "a bug of segkd; run again with --debug"),
    (AssertionError(), 70, "AssertionError"),
    (RuntimeError("first line\nsecond \x1b[31mline"), 70, "RuntimeError: first line"),
    (ValueError("\x1b]0;title\x07 bell"), 70, "\\x1b]0;title\\x07 bell"),
    (SegkdError("x" * 100_000), 2, "xxx..."),
]


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    def prepare(error: BaseException) -> None:
        # In a module that counts as segkd's own: an error in a file of the user is another kind.
        names = {"__name__": "segkd.prepared", "error": error}
        exec("def fail(*_):\n    raise error", names)
        monkeypatch.setattr("segkd.recipe.load_recipe", names["fail"])

    return prepare


def show(capsys: pytest.CaptureFixture[str], *extra: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["recipe", "show", "cityscapes-pspnet-r18", *extra])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize(("error", "code", "words"), KINDS, ids=lambda value: type(value).__name__)
def test_every_exception_is_one_bounded_line(
    error: BaseException,
    code: int,
    words: str,
    raised: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    raised(error)
    got, out, err = show(capsys)
    assert (got, out) == (code, "")
    assert words in err
    assert err.startswith("segkd: ")
    assert err.count("\n") == 1
    assert err.rstrip("\n").isprintable()
    assert len(err) < 2000


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), disk(errno.ENOSPC)], ids=["bug", "disk"])
def test_debug_adds_the_traceback_and_keeps_the_code(
    error: Exception, raised: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    raised(error)
    without, _, _ = show(capsys)
    code, _, err = show(capsys, "--debug")
    assert code == without
    assert err.startswith("Traceback (most recent call last):")
    assert err.splitlines()[-1].startswith("segkd: ")


def test_a_closed_pipe_is_quiet(raised: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]) -> None:
    raised(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert show(capsys) == (141, "", "")


def test_an_error_in_a_file_of_the_user_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "my_net.py"
    file.write_text("import json\n\ndef net():\n    return json.loads('{')\n")
    names: dict[str, Callable[[], object]] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    with pytest.raises(ValueError, match="Expecting") as error:
        names["net"]()
    # pytest's own call above is a file of the user's as well, but not the deepest.
    line, code = ending_of(error.value)
    assert code == 2
    assert line is not None
    assert line.startswith(f"{file}:4: JSONDecodeError: ")


SLOW = """
    import sys, time, pathlib
    from segkd import recipe
    from segkd.cli import main
    def wait(*_):
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            pathlib.Path(sys.argv[1]).unlink()
    recipe.load_recipe = wait
    main(["recipe", "show", "cityscapes-pspnet-r18"])
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_unwind_and_end_in_one_line(number: int, code: int, tmp_path: Path) -> None:
    half_written = tmp_path / "half"
    half_written.touch()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SLOW), str(half_written)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == f"segkd: stopped by {signal.Signals(number).name}\n"
    assert not half_written.exists()
