"""COCO's run lengths."""

from __future__ import annotations

import numpy as np
import pytest

from segkd.data.formats.run_length import decode_runs


def encoded(runs: list[int]) -> str:
    """COCO's text of run lengths, written from the format's description."""
    text = ""
    for position, run in enumerate(runs):
        number = run - runs[position - 2] if position > 2 else run
        while True:
            group, number = number & 31, number >> 5
            done = number == (-1 if group & 16 else 0)
            text += chr(group + (0 if done else 32) + 48)
            if done:
                break
    return text


def test_plain_runs_go_column_by_column() -> None:
    expected = [[0, 1, 0], [1, 0, 0]]
    np.testing.assert_array_equal(decode_runs([1, 2, 3], 2, 3), np.array(expected, bool))


# What pycocotools 2.0.11 encodes these masks to.
REFERENCE = {
    "013": [[1, 0], [0, 0]],
    "112": [[0, 0], [1, 0]],
    "04": [[1, 1], [1, 1]],
    "4": [[0, 0], [0, 0]],
}
FRAME = "jU1X1d0000000000000000000WOA5?KA5?KA5?KA5?KA5?KA5?KA5?KA5?KA5?KA5?d0" + "0" * 40 + "ZS1"


def test_texts_of_the_reference_implementation() -> None:
    for text, mask in REFERENCE.items():
        np.testing.assert_array_equal(decode_runs(text, 2, 2), np.array(mask, bool))
    frame = np.zeros((60, 80), bool)
    frame[10:50, 20:61] = True
    frame[25:30, 30:40] = False
    np.testing.assert_array_equal(decode_runs(FRAME, 60, 80), frame)


@pytest.mark.parametrize("seed", range(5))
def test_random_masks_survive(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((37, 53), bool)
    for _ in range(4):
        top, left = rng.integers(0, 30, 2)
        mask[top : top + rng.integers(1, 37), left : left + rng.integers(1, 40)] ^= True
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    runs = [0, *runs] if flat[0] else runs
    np.testing.assert_array_equal(decode_runs(encoded(runs), 37, 53), mask)
    np.testing.assert_array_equal(decode_runs(runs, 37, 53), mask)


@pytest.mark.parametrize("counts", [[3], [2, 3], [5, -1], "", []])
def test_runs_that_do_not_fill_the_mask(counts: str | list[int]) -> None:
    with pytest.raises(ValueError, match=r"run lengths of -?\d+ pixels, expected 2x2"):
        decode_runs(counts, 2, 2)
