from __future__ import annotations

import numpy as np
import pytest

from segkd_deploy.parity.diagnosis.tail_faults import class_mapping, shift_of

OWN = np.repeat(np.arange(4, dtype=np.uint8), 50)


def test_a_renaming_is_found() -> None:
    mapping = class_mapping(OWN, np.array([2, 0, 1, 3], np.uint8)[OWN])
    assert mapping is not None and mapping[:4].tolist() == [2, 0, 1, 3]


@pytest.mark.parametrize("labels", [OWN, np.zeros_like(OWN), np.random.default_rng(0).permutation(OWN)])
def test_no_renaming(labels: np.ndarray) -> None:
    assert class_mapping(OWN, labels) is None


@pytest.mark.parametrize(
    ("targets", "step"),
    [([1, 2, 3, 4], 1), ([255, 0, 1, 2], -1), ([1, 2, 3, 0], 1), ([3, 0, 1, 2], 3), ([0, 2, 1, 3], None)],
)
def test_shifts(targets: list[int], step: int | None) -> None:
    mapping = np.arange(256, dtype=np.uint8)
    mapping[:4] = targets
    assert shift_of(mapping, OWN, 4) == step
