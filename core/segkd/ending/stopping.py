"""Ctrl-C, SIGTERM and SIGHUP end a command alike: it unwinds, cleans up what it began, and says what stopped it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class Stopped(KeyboardInterrupt):
    """A signal ends the program; whatever cleans up at Ctrl-C does so for this, too.

    Attributes:
        signal_number: which one; the exit code is 128 more, as shells have it.
    """

    def __init__(self, signal_number: int = signal.SIGINT) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


@contextlib.contextmanager
def ends_cleanly() -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into :class:`Stopped` while the block runs; only in the main thread.

    SIGHUP stays ignored where it is (nohup). Signals other than SIGINT act once, because supervisors repeat them while
    the program cleans up; a second Ctrl-C ends the cleaning up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        if number != signal.SIGINT:
            signal.signal(number, signal.SIG_IGN)
        raise Stopped(number)

    before: dict[int, Any] = {number: signal.getsignal(number) for number in _signals()}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _signals() -> list[int]:
    hang_up = getattr(signal, "SIGHUP", None)
    heard = hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([hang_up] if heard and hang_up is not None else [])]
