"""Adaptive average pooling as two constant matrix products.

Exporters expand adaptive pooling with uneven windows into hundreds of slices; at a fixed input size it is the linear
map ``rows @ x @ columns``, which is exact and takes two nodes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segkd.errors import SegkdError
from segkd_distill.models.pooling import AdaptiveAvgPool, pooling_matrices


class ConstantPool(nn.Module):
    """Adaptive average pooling of one input size.

    Args:
        height: rows of the input.
        width: columns of the input.
        cells: rows and columns of the output.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, height: int, width: int, cells: int) -> None:
        super().__init__()
        rows, columns = pooling_matrices(height, width, cells)
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, height, width) -> (N, C, cells, cells)."""
        return self.rows @ x @ self.columns


def fix_adaptive_pools(network: nn.Module, graph: nn.Module, example: Tensor) -> int:
    """Replace every ``AdaptiveAvgPool`` of a network, in place.

    The pools' input sizes are taken from one run.

    Args:
        network: the module whose pools are replaced.
        graph: a module that runs ``network``.
        example: input of ``graph``.

    Returns:
        How many pools were replaced.

    Raises:
        SegkdError: if one pool meets inputs of two sizes.
    """
    pools = {name: module for name, module in network.named_modules() if isinstance(module, AdaptiveAvgPool)}
    sizes: dict[str, set[tuple[int, int]]] = {name: set() for name in pools}

    # One run of the graph tells the size that each pool meets.
    handles = [
        pool.register_forward_pre_hook(
            lambda _, inputs, seen=sizes[name]: seen.add((inputs[0].shape[-2], inputs[0].shape[-1]))
        )
        for name, pool in pools.items()
    ]
    try:
        with torch.no_grad():
            graph(example)
    finally:
        for handle in handles:
            handle.remove()

    replaced = 0
    for name, pool in pools.items():
        if len(sizes[name]) > 1:
            raise SegkdError(f"pool {name} meets inputs of {len(sizes[name])} sizes; a graph has one size for each")
        for height, width in sizes[name]:
            network.set_submodule(name, ConstantPool(height, width, pool.cells))
            replaced += 1
    return replaced
