"""Random numbers that belong to a place in the run and not to its history, so that a run resumes exactly."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What the random numbers are for; each purpose has its own."""

    LABELLED_ORDER = 0
    UNLABELLED_ORDER = 1
    GEOMETRY = 2
    COLOUR = 3
    BLUR = 4


def generator(seed: int, stream: Stream, *place: int) -> np.random.Generator:
    """The generator of one place in the run.

    Args:
        seed: the run's seed.
        stream: the purpose.
        place: for example the step and the row in the batch.
    """
    return np.random.default_rng((seed, int(stream), *place))
