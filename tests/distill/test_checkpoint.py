from __future__ import annotations

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.checkpoint import load_checkpoint, random_state, save_checkpoint, seed_random, set_random_state

CPU = torch.device("cpu")


def test_random_numbers_continue(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", {"random": random_state(CPU)})
    expected = random.random(), np.random.rand(), torch.rand(3)
    seed_random(0)
    set_random_state(load_checkpoint(tmp_path / "c")["random"], CPU)
    assert random.random() == expected[0] and np.random.rand() == expected[1]
    assert torch.equal(torch.rand(3), expected[2])


def test_a_state_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, {"model": {"w": torch.ones(2)}})
    before = path.read_bytes()
    with pytest.raises(SegkdError, match=r"model\.w has values that are not finite"):
        save_checkpoint(path, {"model": {"w": torch.tensor([1.0, float("nan")])}})
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, {"step": 1})
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        save_checkpoint(path, {"step": lambda: 2})
    assert load_checkpoint(path)["step"] == 1 and list(tmp_path.iterdir()) == [path]


def test_damaged_missing_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    with pytest.raises(SegkdError, match="no such file"):
        load_checkpoint(path)
    save_checkpoint(path, {"step": 1})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SegkdError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)
    torch.save({"step": 1}, path)
    with pytest.raises(SegkdError, match="not a checkpoint of this segkd"):
        load_checkpoint(path)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    path, proof = tmp_path / "last.ckpt", tmp_path / "executed"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (proof,)

    torch.save({"schema": 1, "step": Evil()}, path)
    with pytest.raises(SegkdError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)
    assert not proof.exists()


def test_a_seed_sets_all_generators() -> None:
    drawn = []
    for seed in (2**40, 2**40, 1):
        seed_random(seed)
        drawn.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert drawn[0] == drawn[1] and all(a != b for a, b in zip(drawn[1], drawn[2], strict=True))
