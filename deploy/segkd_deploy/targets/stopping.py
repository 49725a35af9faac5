"""Ctrl-C, SIGTERM and SIGHUP: what runs on devices is ended there before this process ends, with the signal's code."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def ends_cleanly() -> Iterator[None]:
    """Unwind the block on a signal, then exit with 128 and its number, as a shell shows it; only in the main thread.

    Signals that come while it unwinds change nothing: the devices are being told.

    Raises:
        SystemExit: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    got: list[int] = []

    def interrupt(number: int, *_: object) -> None:
        first = not got
        got.append(number)
        if first:
            _unwind()

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    except KeyboardInterrupt:
        if not got:
            raise
        print(f"segkd: stopped by {signal.Signals(got[0]).name}; what ran on devices was ended there", file=sys.stderr)
        raise SystemExit(128 + got[0]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _unwind() -> NoReturn:
    raise KeyboardInterrupt
