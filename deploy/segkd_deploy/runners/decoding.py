"""Who turns logits into labels: the graph itself, or the host decoder behind the logits graph beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segkd.errors import SegkdError, unknown_name
from segkd_deploy.graph_spec import CPU_PROVIDERS, LabelResize
from segkd_deploy.onnx_file.header import read_header
from segkd_deploy.onnx_file.tail import read_tail

DECODERS = ("auto", "graph", "host")

# From so many classes on, the host decoder is an order of magnitude faster than onnxruntime's Resize and ArgMax on what
# networks give, and no slower by more than a tenth on noise, the worst that can come (docs/performance.md).
MIN_CLASSES = 32
_FLOAT32 = 1


@dataclass(frozen=True)
class HostDecoding:
    """What the host decoder needs of a graph.

    Attributes:
        graph: gives the logits.
        num_classes: classes of the logits.
        grid: height and width of the logits.
        resize: what the complete graph does with them.
    """

    graph: Path
    num_classes: int
    grid: tuple[int, int]
    resize: LabelResize


@dataclass(frozen=True)
class Decoding:
    """A choice.

    Attributes:
        host: what the host decoder needs; None if the graph does it.
        why: the reason, for ``describe()``.
    """

    host: HostDecoding | None
    why: str


def logits_graph_of(graph: Path) -> Path:
    """Where the logits graph of a graph lies: ``model.fp32.logits.onnx`` beside ``model.fp32.onnx``."""
    return graph.with_name(f"{graph.stem}.logits{graph.suffix}")


def choose_decoding(asked: str, graph: Path, provider: str) -> Decoding:
    """What was asked for; with ``auto`` the host decoder where it can do it and there are at least 32 classes.

    Args:
        asked: one of ``DECODERS``.
        graph: a complete graph.
        provider: what onnxruntime runs on.

    Raises:
        SegkdError: for an unknown decoder, or if the host decoder was asked for and cannot do it; says why.
    """
    if asked not in DECODERS:
        raise unknown_name("decoder", asked, DECODERS)
    if asked == "graph":
        return Decoding(None, "asked for")
    try:
        logits_graph = _find_logits_graph(graph, provider)
        logits = _logits(logits_graph)
        why = f"{logits.num_classes} classes, the host decoder is taken from {MIN_CLASSES} on"
        if asked == "auto" and logits.num_classes < MIN_CLASSES:
            return Decoding(None, why)
        host = HostDecoding(logits_graph, logits.num_classes, logits.grid, _resize(graph, logits))
    except SegkdError as error:
        if asked == "host":
            raise
        return Decoding(None, str(error))
    return Decoding(host, why if asked == "auto" else "asked for")


@dataclass(frozen=True)
class _Logits:
    name: str
    num_classes: int
    grid: tuple[int, int]


def _find_logits_graph(graph: Path, provider: str) -> Path:
    if provider not in CPU_PROVIDERS:
        raise SegkdError(f"the host decoder is for CPUs; on {provider} the graph decodes before labels are copied")
    logits_graph = logits_graph_of(graph)
    if not logits_graph.is_file():
        raise SegkdError(f"the host decoder needs the logits graph, and {logits_graph} is not there")
    if read_header(graph).metadata != read_header(logits_graph).metadata:
        raise SegkdError(f"{logits_graph} is of another export than {graph.name}; export again")
    return logits_graph


def _logits(logits_graph: Path) -> _Logits:
    output = read_header(logits_graph).outputs[0]
    sides = [side for side in output.shape[1:] if side is not None]
    if output.data_type != _FLOAT32 or len(output.shape) != 4 or len(sides) != 3:
        raise SegkdError(f"{logits_graph}: expected float32 logits (N, K, h, w) of fixed size, found {output.shape}")
    return _Logits(output.name, sides[0], (sides[1], sides[2]))


def _resize(graph: Path, logits: _Logits) -> LabelResize:
    labels = read_header(graph).outputs[0].shape[1:]
    if len(labels) != 2 or labels[0] is None or labels[1] is None:
        raise SegkdError(f"{graph}: expected labels (N, height, width) of fixed size, found {labels}")
    return read_tail(graph, logits.name, logits.grid, (labels[0], labels[1]))
