"""The three parts of a complete graph: what prepares the frame, the network, and what turns its logits into labels.

Lower precision is for the network alone. Sizes, colours and normalisation work on values up to 255, whose halves would
be rounded to 1/8; and near a boundary the argmax decides on differences that fewer bits do not have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from segkd.errors import SegkdError

# Where a network begins: the operators that hold its weights.
LEARNED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Regions:
    """Nodes of a graph, in its order.

    Attributes:
        front: nodes that depend on no weights.
        body: nodes that the logits need and that are not in front.
        tail: the others.
    """

    front: list[Any]
    body: list[Any]
    tail: list[Any]


def split_regions(model: Any, logits: str = "logits") -> Regions:
    """Split a graph that gives labels and logits.

    Args:
        model: an ``onnx.ModelProto`` whose nodes are sorted.
        logits: name of the tensor where the network ends.

    Raises:
        SegkdError: if the graph has no such tensor, or no node with weights before it.
    """
    learned: set[str] = set()
    for node in model.graph.node:
        if node.op_type in LEARNED or learned.intersection(node.input):
            learned.update(node.output)
    needed = {logits}
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
    if logits not in learned:
        raise SegkdError(f"expected a graph with weights and a tensor {logits!r}, found none; export it again")
    regions = Regions([], [], [])
    for node in model.graph.node:
        if not learned.intersection(node.output):
            regions.front.append(node)
        elif needed.intersection(node.output):
            regions.body.append(node)
        else:
            regions.tail.append(node)
    return regions


def in_order(nodes: Iterable[Any]) -> list[Any]:
    """Nodes in an order in which each comes after those it needs; converters append theirs at the end."""
    pending: list[Any] = list(nodes)
    ready: list[Any] = []
    waiting = {name for node in pending for name in node.output}
    while pending:
        later = []
        for node in pending:
            if waiting.intersection(node.input):
                later.append(node)
            else:
                ready.append(node)
                waiting.difference_update(node.output)
        if len(later) == len(pending):
            raise RuntimeError("the converted graph has a cycle")
        pending = later
    return ready
