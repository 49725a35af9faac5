"""Whatever happens in a loading process ends in one line here, and leaves no process behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import Any

import pytest

from segkd.ending.exceptions import ending_of
from segkd.errors import SegkdError
from segkd_distill.data.loader import batches


class Failing:
    """In place of a source of batches: the second one cannot be made."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def __getitem__(self, number: int) -> Any:
        if number == 0:
            return "batch"
        if self.error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        raise self.error or AssertionError


class Unpicklable(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("cannot be pickled")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SegkdError("image a.png is damaged"), 2, "image a.png is damaged"),
        (OSError(24, "Too many open files"), 2, "ulimit -n"),
        (MemoryError(), 2, "fewer --workers"),
        (Unpicklable("strange"), 2, "Unpicklable: strange"),
    ],
    ids=["segkd", "files", "memory", "unpicklable"],
)
def test_an_exception_of_a_worker_keeps_its_line_and_code(error: Exception, code: int, words: str) -> None:
    source: Any = Failing(error)
    with pytest.raises(SegkdError, match=words) as caught:
        list(batches(source, start=0, stop=4, workers=1))
    assert caught.value.exit_code == code
    assert "in a loading process" in str(caught.value.__cause__)
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_exit_code_3() -> None:
    source: Any = Failing(None)
    with pytest.raises(RuntimeError) as caught:
        list(batches(source, start=0, stop=4, workers=1))
    line, code = ending_of(caught.value)
    assert code == 3
    assert line is not None
    assert "fewer --workers" in line
    assert "--resume" in line
    assert not multiprocessing.active_children()
