"""Any number of frames through a graph that takes so many at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def in_batches(frames: NDArray[Any], batch: int, call: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
    """Call a graph on any number of frames; a last batch that is too small is filled up with its last frame.

    Args:
        frames: at least one, (N, ...).
        batch: frames per call.
        call: takes C-contiguous frames (batch, ...), gives as many results in an array of its own.

    Returns:
        The results (N, ...).
    """
    parts = []
    for start in range(0, len(frames), batch):
        part = frames[start : start + batch]
        filled = part if len(part) == batch else part.take(range(batch), axis=0, mode="clip")
        parts.append(call(np.ascontiguousarray(filled))[: len(part)])
    return np.concatenate(parts)
