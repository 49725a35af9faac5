"""A torch module as an ONNX model that is complete, checked, and free of traces of the machine that wrote it."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segkd.errors import SegkdError, import_extra
from segkd_export.graph.exporter_errors import MAX_FILE_BYTES, explain, foreign, too_large, traced
from segkd_export.graph.opset import OLDEST, to_opset_17

# Of every variant, unless OLDEST is asked for. It has all that float32 scales of 8-bit numbers need; from 21 on,
# onnxruntime 1.31 cannot load signed graphs in which a quantised value is reshaped (docs/decisions/0010-int8.md).
OPSET = 18
OPSETS = (OLDEST, OPSET)
INPUT = "frames"

# Fields in which exporters leave stack traces with source paths.
PROVENANCE_FIELDS = frozenset({"metadata_props", "doc_string"})


def to_onnx(
    graph: nn.Module,
    frames: Tensor,
    outputs: Sequence[str],
    metadata: Mapping[str, str],
    batch_range: tuple[int, int] | None = None,
    opset: int = OPSET,
) -> Any:
    """Export a module with static shapes, or with any number of frames.

    The same module and sizes give the same bytes.

    Args:
        graph: a module in eval mode that takes ``frames`` alone.
        frames: an example, uint8 (N, ...), N at least 2 with a range; its shape becomes the graph's.
        outputs: names of the graph's outputs; its input is called ``frames``.
        metadata: written into the model's ``metadata_props``, in sorted order.
        batch_range: smallest and largest number of frames; None for the example's.
        opset: a member of ``OPSETS``.

    Returns:
        An ``onnx.ModelProto`` that has passed ONNX's checker with shape inference.

    Raises:
        SegkdError: naming the operator or the line of a user's file that cannot be written as ONNX, or the size of
            what does not fit into one file.
        MissingExtra: if onnx or onnxscript is not installed.
    """
    onnx = import_extra("onnx", "export")
    import_extra("onnxscript", "export")

    dynamic = None if batch_range is None else ({0: _batch(batch_range)},)
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                graph,
                (frames,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(outputs),
                dynamic_shapes=dynamic,
                external_data=False,
                verbose=False,
            )
        except (SegkdError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # the exporter lets through whatever its many parts raise
            raise explain(error, lambda: traced(graph, frames)) from error
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")

    # What would differ from one export to the next goes.
    model = program.model_proto
    strip_provenance(model)
    model.graph.name = "segkd"
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))

    if (size := sum(len(tensor.raw_data) for tensor in model.graph.initializer)) > MAX_FILE_BYTES:
        raise too_large(size)
    with foreign("checking the graph that torch wrote", "simplify the network, or use another version of torch"):
        onnx.checker.check_model(model, full_check=True)
    return to_opset_17(model) if opset == OLDEST else model


def _batch(batch_range: tuple[int, int]) -> Any:
    smallest, largest = batch_range
    return torch.export.Dim("batch", min=smallest, max=largest)


def cut_to(model: Any, output: str) -> Any:
    """A copy of a model that has one of its outputs and only what that output needs.

    Args:
        model: an ``onnx.ModelProto`` without control flow.
        output: name of the output that stays.

    Returns:
        An ``onnx.ModelProto`` that has passed ONNX's checker with shape inference.
    """
    onnx = import_extra("onnx", "export")
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    graph, needed, nodes = cut.graph, {output}, []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    parts = {
        "node": reversed(nodes),
        "initializer": [tensor for tensor in model.graph.initializer if tensor.name in needed],
        "value_info": [info for info in model.graph.value_info if info.name in needed and info.name != output],
        "output": [info for info in model.graph.output if info.name == output],
    }
    for name, kept in parts.items():
        graph.ClearField(name)
        getattr(graph, name).extend(kept)
    onnx.checker.check_model(cut, full_check=True)
    return cut


def strip_provenance(message: Any) -> None:
    """Remove every ``metadata_props`` and ``doc_string`` of a protobuf message and of all messages inside it."""
    for field, value in message.ListFields():
        if field.name in PROVENANCE_FIELDS:
            message.ClearField(field.name)
        elif field.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                strip_provenance(inner)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's remarks about its own internals, and what it prints of a failure; errors still raise."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        nothing = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
