"""Lines about long work: how far it is, at most every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

EVERY_S = 10.0


def with_progress(
    items: Iterable[Item],
    total: int,
    what: str,
    say: Callable[[str], None],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Item]:
    """The items, while a line now and then says how many are done; quick work says nothing.

    Args:
        items: what is worked on, one after the other.
        total: how many there are.
        what: what they are, as "calibration frames".
        say: is told the lines.
        clock: gives seconds.
    """
    last = clock()
    for done, item in enumerate(items):
        if done and clock() - last >= EVERY_S:
            last = clock()
            say(f"  {done} of {total} {what}")
        yield item
