from __future__ import annotations

from pathlib import Path

import numpy as np

from segkd.data.base import Dataset, open_dataset
from segkd_distill.data.memory import InMemory, in_memory_if_small


def test_samples_are_equal_and_decoded_once(streets: Path) -> None:
    source = open_dataset(f"cityscapes:{streets}", split="train")
    kept = in_memory_if_small(source)
    assert isinstance(kept, InMemory) and len(kept) == len(source) and kept.labels == source.labels
    sample, expected = kept.read(3), source.read(3)
    np.testing.assert_array_equal(sample.image, expected.image)
    np.testing.assert_array_equal(sample.mask, expected.mask)
    assert sample.id == expected.id
    assert kept.read_image(3) is sample.image and kept.read_mask(3) is sample.mask
    assert kept.fingerprint() == source.fingerprint()


def test_the_budget_is_shared_between_processes(streets: Path) -> None:
    source = open_dataset(f"cityscapes:{streets}", split="train")
    needed = 20 * 64 * 128 * 4

    def kept(processes: int, budget: int) -> Dataset:
        return in_memory_if_small(source, processes=processes, budget_bytes=budget)

    assert isinstance(kept(0, needed), InMemory)
    assert kept(1, needed - 1) is source
    assert kept(2, needed) is source
    assert isinstance(kept(2, 2 * needed), InMemory)
