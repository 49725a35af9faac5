"""Rows from every process of a distributed run, in the order of the ranks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributed as dist


def gather_rows(rows: Tensor) -> Tensor:
    """Concatenate the rows of all processes; every process gets the same tensor, without a gradient.

    Every process must call it equally often, with or without rows. Without an initialised process group, or with one
    process, the rows come back as they are.

    Args:
        rows: (n, ...); n may differ between processes, dtype and the other axes may not.
    """
    rows = rows.detach()
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows
    count = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.zeros_like(count) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, count)
    sizes = [int(size) for size in torch.cat(counts).tolist()]
    # The collective operation wants equal shapes.
    padded = rows.new_zeros(max(sizes), *rows.shape[1:])
    padded[: len(rows)] = rows
    gathered = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(gathered, padded)
    return torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)])
