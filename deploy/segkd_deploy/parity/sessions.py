"""Graphs in memory on the CPU, for what no runner offers: logits, inner values, float frames."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import import_extra
from segkd.machine.cpus import usable_cores


def has_onnxruntime() -> bool:
    """Whether onnxruntime is installed; devices with TensorRT alone do without."""
    return importlib.util.find_spec("onnxruntime") is not None


def open_bytes(
    content: bytes,
    *,
    threads: int | None = None,
    as_written: bool = False,
    initializers: Mapping[str, NDArray[Any]] | None = None,
) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU.

    Args:
        content: an ONNX file.
        threads: threads inside an operator; None for one per core that this process may use.
        as_written: run the operators one by one, without fusing any.
        initializers: name -> value that stands for the file's own.
    """
    ort = import_extra("onnxruntime", "ort")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    # The session reads them when it opens; until then they must live.
    values = {name: ort.OrtValue.ortvalue_from_numpy(value) for name, value in (initializers or {}).items()}
    for name, value in values.items():
        options.add_initializer(name, value)
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    session.disable_fallback()
    return session


def run_frames(session: Any, frames: NDArray[Any], batch: int) -> NDArray[Any]:
    """The first output for any number of frames; a last batch that is too small is filled up with its last frame."""
    name, outputs = session.get_inputs()[0].name, []
    first = session.get_outputs()[0].name
    for start in range(0, len(frames), batch):
        part = frames[start : start + batch]
        filled = part.take(range(batch), axis=0, mode="clip") if len(part) < batch else part
        outputs.append(session.run([first], {name: np.ascontiguousarray(filled)})[0][: len(part)])
    return np.concatenate(outputs)
