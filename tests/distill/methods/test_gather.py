from __future__ import annotations

import multiprocessing
import traceback
from pathlib import Path

import pytest
import torch
from torch import distributed as dist

from segkd_distill.methods.gather import gather_rows
from segkd_distill.methods.memory_bank import Embeddings, MemoryBank

ROWS = (2, 0, 1)
"""Of each rank."""


def check_rank(rank: int, store: Path, failures: multiprocessing.Queue[str]) -> None:
    """One of the processes; what it finds wrong goes to ``failures``."""
    try:
        dist.init_process_group("gloo", init_method=store.as_uri(), rank=rank, world_size=len(ROWS))
        gathered = gather_rows(torch.full((ROWS[rank], 2), float(rank), requires_grad=True))
        assert not gathered.requires_grad and gathered.tolist() == [[0, 0], [0, 0], [2, 2]], gathered
        assert gather_rows(torch.zeros(0, 2, dtype=torch.int64)).shape == (0, 2)

        bank = MemoryBank(2, 4, 1)
        bank.keys.zero_()
        vectors = 10.0 * rank + torch.arange(rank + 1)[:, None]
        bank.enqueue(Embeddings(vectors, torch.tensor([[rank % 2, rank + 1]])))
        assert bank.keys[..., 0].tolist() == [[0, 20, 21, 22], [10, 11, 0, 0]], bank.keys
        assert bank.next_slot.tolist() == [0, 2], bank.next_slot
        dist.destroy_process_group()
        failures.put("")
    except BaseException:
        failures.put(traceback.format_exc())


def test_one_process() -> None:
    rows = torch.arange(6.0).view(3, 2).requires_grad_()
    gathered = gather_rows(rows)
    assert torch.equal(gathered, rows) and not gathered.requires_grad


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_processes_get_all_rows_in_rank_order(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    failures = fork.Queue()
    started = [fork.Process(target=check_rank, args=(r, tmp_path / "store", failures)) for r in range(len(ROWS))]
    for process in started:
        process.start()
    try:
        assert [failures.get(timeout=60) for _ in started] == [""] * len(ROWS)
    finally:
        for process in started:
            process.join(5)
            process.kill()
