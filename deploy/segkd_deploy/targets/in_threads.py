"""Calls side by side, each in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")


def in_threads(calls: Sequence[Callable[[], T]], cancel: threading.Event) -> list[T]:
    """The results of calls that run side by side; Ctrl-C sets ``cancel`` and waits until all have ended."""
    with ThreadPoolExecutor(max_workers=len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            wait(futures)
        except BaseException:
            cancel.set()
            raise
    return [future.result() for future in futures]
