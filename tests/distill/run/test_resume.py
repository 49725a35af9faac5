from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.run.resume import (
    load_checkpoint,
    random_state,
    recover_checkpoint,
    save_checkpoint,
    seed_random,
    set_random_state,
)

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
    with pytest.raises(SegkdError, match=r"last\.ckpt: cut off, damaged, or not a checkpoint of this segkd"):
        load_checkpoint(path)
    torch.save({"step": 1}, path)
    with pytest.raises(SegkdError, match="not a checkpoint of this segkd"):
        load_checkpoint(path)
    path.write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(SegkdError, match="not a checkpoint of this segkd"):
        load_checkpoint(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.25, 0.5, 0.75, 0.9, 0.98, 0.9999, 1.0])
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_anywhere_is_noticed(tmp_path: Path, share: float, bit: int) -> None:
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, {"model": {"w": torch.arange(2000.0)}})
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(SegkdError, match=r"last\.ckpt: .*(damaged|checksum)") as caught:
        load_checkpoint(path)
    assert "weights_only" not in str(caught.value) and "\n" not in str(caught.value)


def write_as_385fdeb(path: Path, state: dict[str, Any]) -> None:
    """As segkd wrote checkpoints before a checksum ended them."""
    torch.save({"schema": 1, **state}, path)


def test_a_checkpoint_of_an_earlier_segkd(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    write_as_385fdeb(path, {"step": 3, "model": {"w": torch.arange(2000.0)}})
    state = recover_checkpoint(path)
    assert state["step"] == 3 and torch.equal(state["model"]["w"], torch.arange(2000.0))


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("harm", ["cut", "flip", "longer"])
def test_a_damaged_checkpoint_of_an_earlier_segkd(tmp_path: Path, share: float, harm: str) -> None:
    path = tmp_path / "last.ckpt"
    write_as_385fdeb(path, {"step": 3, "model": {"w": torch.arange(2000.0)}})
    content = bytearray(path.read_bytes())
    place = int(share * len(content))
    if harm == "flip":
        # Of the tensor's values: bytes between the parts of an archive mean nothing.
        place = content.index(np.arange(2000, dtype=np.float32).tobytes()) + int(share * 8000)
        content[place] ^= 1
    path.write_bytes({"cut": content[:place], "flip": content, "longer": content + b"x"}[harm])
    with pytest.raises(SegkdError, match=r"last\.ckpt: cut off, damaged, or not a checkpoint of this segkd"):
        load_checkpoint(path)


@pytest.mark.parametrize("harm", ["cut", "flip", "lost"])
def test_the_checkpoint_before_a_damaged_one(tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: str) -> None:
    path = tmp_path / "last.ckpt"
    for step in (1, 2):
        save_checkpoint(path, {"step": step})
    content = path.read_bytes()
    half = len(content) // 2
    harmed = content[:half] + (b"" if harm == "cut" else bytes([content[half] ^ 1]) + content[half + 1 :])
    path.write_bytes(harmed)
    if harm == "lost":
        path.unlink()
    assert recover_checkpoint(path)["step"] == 1
    assert "last.ckpt" in capsys.readouterr().err
    assert load_checkpoint(path)["step"] == 1 and (harm == "lost" or path.with_name("last.ckpt.damaged").exists())
    path.unlink()
    with pytest.raises(SegkdError, match="no such file"):
        recover_checkpoint(path)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    path, proof = tmp_path / "last.ckpt", tmp_path / "executed"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (proof,)

    save_checkpoint(path, {"step": Evil()})
    with pytest.raises(SegkdError, match="not a checkpoint of this segkd"):
        load_checkpoint(path)
    assert not proof.exists()


def test_a_seed_sets_all_generators() -> None:
    drawn = []
    for seed in (2**40, 2**40, 1):
        seed_random(seed)
        drawn.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert drawn[0] == drawn[1] and all(a != b for a, b in zip(drawn[1], drawn[2], strict=True))
