"""What torch's exporter and other libraries raise while a graph is written, as one line that says what to change."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from segkd.ending.users_code import causes, first_line, is_users, short_path, users_line
from segkd.errors import SegkdError

# Protobuf's bound; what is not weights takes little of it.
MAX_FILE_BYTES = 2**31 - 2**22
_OPERATOR = re.compile(r"op='([\w.]+)'")
_PLACE = re.compile(r'File "([^"]+)", line (\d+)')
# Exceptions by which torch.export says that a size or a branch depends on values.
_DATA_DEPENDENT = ("GuardOnDataDependentSymNode", "DataDependentOutputException", "UserError")


def refuse_large(network: nn.Module) -> None:
    """Stop before the work if the weights alone do not fit into one ONNX file.

    Raises:
        SegkdError: with their size.
    """
    tensors = {id(tensor): tensor.numel() for tensor in (*network.parameters(), *network.buffers())}
    size = 4 * sum(tensors.values())
    if size > MAX_FILE_BYTES:
        raise too_large(size)


def too_large(size: int) -> SegkdError:
    """The error for a graph of so many bytes."""
    return SegkdError(
        f"the network has {size / 1e9:.1f} GB of float32 weights, and an ONNX file ends at 2 GB; export a smaller one"
    )


def explain(error: Exception, trace: Callable[[], Any]) -> SegkdError:
    """One line for what torch's exporter raised.

    Args:
        error: its exception.
        trace: gives the ``torch.export.ExportedProgram`` once more, whose nodes know the lines that made them.
    """
    chain = list(causes(error))
    for part in chain:
        if isinstance(part, SegkdError):
            return part

    place = users_line(error) or next(filter(None, map(_quoted_place, chain)), None)

    operators = [found[1] for part in chain if (found := _OPERATOR.search(str(part)))]
    if operators and any("Dispatch" in type(part).__name__ for part in chain):
        place = _line_of(operators[-1], trace) or place
        return SegkdError(
            f"{_at(place)}ONNX has no operator for {operators[-1]}; write this layer of the network by other operations"
        )

    root = chain[-1]
    if any(type(part).__name__ in _DATA_DEPENDENT for part in chain):
        return SegkdError(
            f"{_at(place)}a branch or a size depends on the values of a tensor, and a graph is the same for every "
            "frame; use torch.where, or decide when the network is built"
        )
    return SegkdError(
        f"{_at(place)}torch cannot write this network as ONNX ({type(root).__name__}: {first_line(root)}); change the "
        "network there"
    )


@contextlib.contextmanager
def foreign(what: str, advice: str) -> Iterator[None]:
    """Around a call of another library: what it raises becomes one line.

    Lack of memory and faults of the disk pass.

    Args:
        what: what was being done, as "onnxruntime's conversion to half precision".
        advice: what to do.
    """
    try:
        yield
    except (SegkdError, MemoryError, OSError):
        raise
    except Exception as error:
        raise SegkdError(f"{what} failed ({type(error).__name__}: {first_line(error)}); {advice}") from error


def _at(place: str | None) -> str:
    return "" if place is None else f"{place}: "


def _quoted_place(error: BaseException) -> str | None:
    """The last place in a user's file that a message quotes."""
    places = [f"{short_path(file)}:{line}" for file, line in _PLACE.findall(str(error)) if is_users(file)]
    return places[-1] if places else None


def _line_of(operator: str, trace: Callable[[], Any]) -> str | None:
    """The user's line that calls an operator."""
    try:
        nodes = trace().graph.nodes
    except Exception:  # the operator's name alone has to do
        return None
    for node in nodes:
        if str(node.target).startswith(operator):
            text = node.meta.get("stack_trace") or ""
            places = [f"{short_path(file)}:{line}" for file, line in _PLACE.findall(text) if is_users(file)]
            if places:
                return places[-1]
    return None


def traced(graph: nn.Module, frames: torch.Tensor) -> Any:
    """The ``torch.export.ExportedProgram`` of a module."""
    with torch.no_grad():
        return torch.export.export(graph, (frames,), strict=False)
